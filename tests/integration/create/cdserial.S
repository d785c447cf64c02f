# SPDX-License-Identifier: GPL-3.0-or-later
# Boot code of a test's disc: says "ready", then does what it reads from the first serial port: p tells pvpanic that the
# system has crashed, r resets the machine. All else it repeats.
        .code16
        .globl  start
start:  xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        movw    $ready, %si
say:    lodsb
        testb   %al, %al
        jz      listen
        call    put
        jmp     say
listen: movw    $0x3fd, %dx
        inb     %dx, %al
        testb   $1, %al
        jz      listen
        movw    $0x3f8, %dx
        inb     %dx, %al
        cmpb    $'p', %al
        je      panic
        cmpb    $'r', %al
        je      reset
        call    put
        jmp     listen
panic:  movw    $0x505, %dx
        movb    $1, %al
        outb    %al, %dx
        jmp     listen
reset:  movw    $0xcf9, %dx
        movb    $6, %al
        outb    %al, %dx
        jmp     reset
put:    movb    %al, %bl
full:   movw    $0x3fd, %dx
        inb     %dx, %al
        testb   $0x20, %al
        jz      full
        movw    $0x3f8, %dx
        movb    %bl, %al
        outb    %al, %dx
        ret
ready:  .asciz  "ready\r\n"
