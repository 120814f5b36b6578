/* The 32-bit program: tells the command line and the initial RAM disk where Linux would find them, and restarts the machine. */
#include "report.h"

__asm__(".section .entry, \"ax\"\n"
	"	movw	$16, %ax\n"
	"	movw	%ax, %ds\n"
	"	movw	%ax, %es\n"
	"	movw	%ax, %ss\n"
	"	movl	$0x90000, %esp\n"
	"	pushl	%edi\n" /* what head.S has left there: the RAM disk's size, its address, the command line's */
	"	pushl	%esi\n"
	"	pushl	%ebp\n"
	"	pushl	$0\n"
	"	jmp	program\n"
	".text\n");

void program(const char *line, const uint8_t *ramdisk, size_t size) {
	size_t length = 0;
	while (line && line[length])
		length++;
	tell("bios", 0, 0);
	tell("line", line, length);
	tell("ramdisk", ramdisk, size);
	restart();
}
