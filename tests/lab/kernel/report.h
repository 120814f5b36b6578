/* What both programs say, on QEMU's debug port: nothing else writes there, no firmware and no boot loader. tests/lab/standin.py reads it. */
#include <stddef.h>
#include <stdint.h>

#define DEBUG_PORT 0xe9

static inline void out(uint16_t port, uint8_t byte) { __asm__ volatile("outb %0, %1" : : "a"(byte), "Nd"(port)); }

static void say(const char *text) {
	while (*text)
		out(DEBUG_PORT, *text++);
}

static void say_number(size_t number) {
	if (number >= 10)
		say_number(number / 10);
	out(DEBUG_PORT, '0' + number % 10);
}

/* One item: "<name> <length> <bytes>\n". */
static void tell(const char *name, const void *bytes, size_t length) {
	say(name);
	say(" ");
	say_number(length);
	say(" ");
	for (size_t i = 0; i < length; i++)
		out(DEBUG_PORT, ((const uint8_t *)bytes)[i]);
	say("\n");
}

static void restart(void) __attribute__((noreturn));
static void restart(void) {
	tell("end", 0, 0);
	out(0xcf9, 0x06); /* the chipset's reset, on QEMU's pc and q35 */
	for (;;)
		__asm__ volatile("hlt");
}
