/* A stand-in for every installer's kernel: one file that is a bzImage to BIOS and an EFI application to UEFI, as real kernels are.
 *
 * Sources: Linux, Documentation/arch/x86/boot.rst (boot protocol 2.02 and later); Microsoft's PE/COFF specification; UEFI 2.10, section 2.1.1.
 * Layout: 0x000 "boot sector" with both headers, 0x200 16-bit set-up, 0x400 the 32-bit program (loaded at 1 MB), then the 64-bit one.
 */
	.code16
	.globl	start
start:
	.ascii	"MZ"
	.org	0x3c
	.long	pe_header

	.org	0x40
pe_header:
	.ascii	"PE\0\0"
	.word	0x8664				/* x86-64 */
	.word	1				/* sections */
	.long	0, 0, 0
	.word	section_table - optional_header
	.word	0x0206				/* executable, no line numbers, no debugging; relocatable */
optional_header:
	.word	0x20b				/* PE32+ */
	.byte	2, 20
	.long	end - 0x200, 0, 0		/* code; no other data */
	.long	efi_program			/* entry */
	.long	0x200				/* base of code */
	.quad	0				/* image base */
	.long	0x200, 0x200			/* alignment in memory and in the file */
	.word	0, 0, 0, 0, 0, 0
	.long	0
	.long	end, 0x200			/* size of image, of headers */
	.long	0				/* checksum */
	.word	10, 0				/* EFI application */
	.quad	0, 0, 0, 0
	.long	0, 6
	.quad	0, 0, 0, 0, 0, 0
section_table:
	.ascii	".text\0\0\0"
	.long	end - 0x200, 0x200, end - 0x200, 0x200, 0, 0
	.word	0, 0
	.long	0xe0000020			/* code; readable, writable, executable */

	.org	0x1f1
	.byte	1				/* setup_sects: one behind the boot sector */
	.word	0
	.long	(end - payload) / 16		/* syssize */
	.word	0, 0xffff, 0
	.word	0xaa55
	.org	0x200
	.byte	0xeb, setup - header		/* jmp setup */
header:
	.ascii	"HdrS"
	.word	0x0206				/* boot protocol: room for cmdline_size */
	.long	0
	.word	0, 0
	.byte	0
	.byte	0x01				/* loadflags: LOADED_HIGH */
	.word	0
	.long	0x100000			/* code32_start */
ramdisk_image:
	.long	0
ramdisk_size:
	.long	0
	.long	0
	.word	0, 0
cmd_line_ptr:
	.long	0
	.long	0x37ffffff			/* initrd_addr_max */
	.long	0x1000
	.byte	0, 0
	.word	0
	.long	2047				/* cmdline_size */

setup:						/* cs is the segment of `start` plus 0x20 */
	cli
	cld
	movw	%cs, %ax
	subw	$0x20, %ax
	movw	%ax, %ds
	movzwl	%ax, %ebx
	shll	$4, %ebx			/* address of `start` */
	movl	ramdisk_image, %esi
	movl	ramdisk_size, %edi
	movl	cmd_line_ptr, %ebp
	leal	table(%ebx), %eax
	movl	%eax, table_pointer + 2
	inb	$0x92, %al			/* A20 */
	orb	$2, %al
	outb	%al, $0x92
	lgdtl	table_pointer
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $0x100000

	.balign	8
table:						/* flat code and data */
	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
table_pointer:
	.word	23
	.long	0

	.org	0x400
payload:
	.incbin	"bios.bin"
	.balign	16
efi_program:
	.incbin	"efi.bin"
	.balign	0x200
end:
