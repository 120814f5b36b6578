/* The 64-bit program: tells its load options and every file beside it (iPXE's virtual file system), and restarts the machine.
 *
 * Source: UEFI 2.10, sections 4.3, 7.3, 9.1, 13.4 and 13.5.
 */
#include "report.h"

#define EFI __attribute__((ms_abi))
typedef uint64_t status;
typedef struct { uint32_t a; uint16_t b, c; uint8_t d[8]; } guid;

typedef struct file {
	uint64_t revision;
	EFI status (*open)(struct file *, struct file **, const uint16_t *name, uint64_t mode, uint64_t attributes);
	EFI status (*close)(struct file *);
	void *delete;
	EFI status (*read)(struct file *, size_t *size, void *buffer);
} file;

typedef struct volume {
	uint64_t revision;
	EFI status (*open)(struct volume *, file **root);
} volume;

typedef struct {
	uint32_t revision;
	void *parent, *system_table, *device;
	void *path, *reserved;
	uint32_t options_size;
	uint16_t *options;
} loaded_image;

typedef struct {
	uint64_t size, file_size, physical_size;
	uint8_t times[48];
	uint64_t attribute;
	uint16_t name[256];
} file_info;

typedef struct {
	uint8_t header[24];
	void *unused[16];
	EFI status (*handle_protocol)(void *handle, const guid *, void **interface);
} boot_services;

typedef struct {
	uint8_t header[24];
	void *vendor;
	uint32_t revision;
	void *console[6];
	void *runtime_services;
	boot_services *boot_services;
} system_table;

static const guid LOADED_IMAGE = {0x5b1b31a1, 0x9562, 0x11d2, {0x8e, 0x3f, 0, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const guid FILE_SYSTEM = {0x964e5b22, 0x6459, 0x11d2, {0x8e, 0x39, 0, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};

static uint8_t text[4096], content[4096];
/* What is longer is cut: no stand-in is, but this program itself, which iPXE shows among its files. */

/* ASCII is all that iPXE makes UTF-16 of. */
static size_t narrow(const uint16_t *wide, size_t most) {
	size_t length = 0;
	for (; length < most && wide[length]; length++)
		text[length] = wide[length] < 128 ? wide[length] : '?';
	return length;
}

static void tell_file(file *root, const file_info *info) {
	uint16_t path[257] = {'\\'}; /* as Linux and wimboot name them */
	size_t length = narrow(info->name, 255), size = sizeof content;
	file *opened;
	for (size_t i = 0; i < length; i++)
		path[i + 1] = info->name[i];
	tell("file", text, length);
	if (root->open(root, &opened, path, 1, 0) || opened->read(opened, &size, content))
		tell("unreadable", 0, 0);
	else
		tell("content", content, size);
}

__attribute__((section(".entry"))) EFI status program(void *handle, system_table *system) {
	static file_info info;
	loaded_image *image;
	volume *disk;
	file *root;
	size_t size = sizeof info;
	tell("efi", 0, 0);
	if (system->boot_services->handle_protocol(handle, &LOADED_IMAGE, (void **)&image))
		restart();
	tell("line", text, narrow(image->options, image->options_size / 2));
	if (!system->boot_services->handle_protocol(image->device, &FILE_SYSTEM, (void **)&disk) && !disk->open(disk, &root))
		for (; !root->read(root, &size, &info) && size; size = sizeof info)
			tell_file(root, &info);
	restart();
}
