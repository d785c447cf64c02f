# SPDX-License-Identifier: GPL-3.0-or-later
# Boot code of a test's disc: writes the text in the image's second sector to the first serial port and resets the machine,
# which then boots from the first drive that holds such a disc: what it says is what the firmware finds now. (To read
# another disc without a reset is no use: SeaBIOS calls a read that the drive refuses a success.)
        .code16
        .globl  start
start:  xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        movw    $0x8400, %si
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
        movw    $0xcf9, %dx
        movb    $6, %al
        outb    %al, %dx
halt:   hlt
        jmp     halt
