# SPDX-License-Identifier: GPL-3.0-or-later
# Boot code of a test's disc: several times a second it reads sector 21 of the disc that is in the drive now, and
# writes the text that stands there to the first serial port; "no disc" when it cannot.
        .code16
        .globl  start
start:  xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        movb    %dl, drive
again:  movw    $packet, %si
        movb    drive, %dl
        movb    $0x42, %ah
        int     $0x13
        movw    $0x8000, %si
        jnc     say
        movw    $none, %si
say:    lodsb
        testb   %al, %al
        jz      rest
        movb    %al, %bl
        movw    $0x3fd, %dx
full:   inb     %dx, %al
        testb   $0x20, %al
        jz      full
        movw    $0x3f8, %dx
        movb    %bl, %al
        outb    %al, %dx
        jmp     say
rest:   movb    $0x86, %ah
        movw    $2, %cx
        xorw    %dx, %dx
        int     $0x15
        jmp     again
none:   .asciz  "no disc\n"
drive:  .byte   0
packet: .byte   16, 0
        .word   1, 0x8000, 0
        .quad   21
