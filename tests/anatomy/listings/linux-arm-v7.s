# All of the program, part by part. `cargo xtask anatomy --listing --bless` writes this.

ELF header, 52 bytes
        EI_MAG = 7f E L F                               # what makes it an ELF file
        EI_CLASS = ELFCLASS32                           # the size of addresses
        EI_DATA = ELFDATA2LSB                           # the byte order
        EI_VERSION = 1
        EI_OSABI = ELFOSABI_SYSV
        EI_ABIVERSION = 0
        EI_PAD = 0
        e_type = ET_DYN                                 # executable at any address
        e_machine = EM_ARM                              # the architecture
        e_version = 1
        e_entry = 0x74                                  # → _start
        e_phoff = 0x34                                  # where the program headers are
        e_shoff = 0                                     # no section table
        e_flags = 0x5000200
        e_ehsize = 52                                   # bytes of this header
        e_phentsize = 32                                # bytes of a program header
        e_phnum = 2                                     # program headers
        e_shentsize = 40
        e_shnum = 0
        e_shstrndx = 0

program header PT_LOAD, 32 bytes
        p_type = PT_LOAD
        p_offset = 0                                    # where in the file
        p_vaddr = 0                                     # where in memory
        p_paddr = 0
        p_filesz = 754                                  # bytes in the file
        p_memsz = 754                                   # bytes in memory
        p_flags = PF_X | PF_R                           # what is allowed there
        p_align = 0x10000

program header PT_GNU_STACK, 32 bytes
        p_type = PT_GNU_STACK
        p_offset = 0                                    # where in the file
        p_vaddr = 0                                     # where in memory
        p_paddr = 0
        p_filesz = 0                                    # bytes in the file
        p_memsz = 0                                     # bytes in memory
        p_flags = PF_W | PF_R                           # what is allowed there
        p_align = 0

_start, 12 bytes
        ldr r0, [sp]
        add r1, sp, #4
        b main

main, 288 bytes
        push {r7, lr}
.1:
        cmp r0, #2
        blo .2
        add r2, r1, r0, lsl #2
        sub r0, r0, #1
        ldr r2, [r2, #-4]
        ldrb r3, [r2, #1]
        ldrb ip, [r2]
        ldrb r2, [r2, #2]
        orr r3, ip, r3, lsl #8
        orr r2, r3, r2, lsl #16
        ldr r3, [pc, #0xec]
        and r2, r2, r3
        mov r3, #0x2d
        orr r3, r3, #0x5600
        cmp r2, r3
        bne .1
        ldr r0, [pc, #0xd8]
        add r0, pc, r0
        bl message::write_if_ready
        mov r2, #0
        b .3
.2:
        ldr r3, [pc, #0xc8]
        mov r0, #0
        mov r2, #1
        str r0, [r1, #8]
        add r3, pc, r3
        str r3, [r1]
        str r2, [r1, #4]
        mov r2, #0
        str r0, [r1, #0xc]
        mov r7, #0xae
        str r0, [r1, #0x10]
        mov r0, #0xf
        mov r3, #8
        svc #0                                          # rt_sigaction()
        mov r2, #2
        cmp r0, #0
        bne .3
        mov r0, #2
        mov r2, #0
        svc #0                                          # rt_sigaction()
        mov r2, #1
        cmp r0, #0
        bne .3
        mov r0, #0x11
        mov r2, #0
        svc #0                                          # rt_sigaction()
        mov r2, #3
        cmp r0, #0
        beq .5
.3:
        mov r7, #1
.4:
        mov r0, r2
        svc #0                                          # exit()
        b .4
.5:
        mov r0, #2
        add r1, r1, #0xc
        mov r7, #0xaf
        mov r2, #0
        svc #0                                          # rt_sigprocmask()
        mov r0, #0x11
        bl handle
        mov r7, #0x14
        svc #0                                          # getpid()
        cmp r0, #1
        beq .6
        ldr r0, [pc, #0x1c]
        add r0, pc, r0
        bl message::write_if_ready
.6:
        mov r7, #0x1d
.7:
        svc #0                                          # pause()
        b .7

constants of main, 16 bytes
        255, 223, 255, 0, 192, 1, 0, 0
        192, 0, 0, 0, 10, 1, 0, 0

handle, 96 bytes
        push {r7, lr}
        cmp r0, #2
        beq .2
        cmp r0, #0x11
        bne .3
        mov r7, #0x72
        mov r1, #0
        mov r2, #1
        mov r3, #0
.1:
        mvn r0, #0
        svc #0                                          # wait4()
        cmp r0, #0
        bgt .1
        pop {r7, pc}
.2:
        ldr r0, [pc, #0x24]
        add r0, pc, r0
        b .4
.3:
        ldr r0, [pc, #0x14]
        add r0, pc, r0
.4:
        bl message::write_if_ready
        mov r7, #1
.5:
        mov r0, #0
        svc #0                                          # exit()
        b .5

constants of handle, 8 bytes
        104, 0, 0, 0, 215, 0, 0, 0

message::write_if_ready, 80 bytes
        push {r5, r6, r7, lr}
        mov r3, r0
        mov r0, #4
        str r0, [sp, #4]
        mov r7, #0xa8
        ldrb r0, [r3]
        mov r1, #1
        str r0, [sp]
        mov r0, sp
        mov r2, #0
        svc #0                                          # poll()
        ldrh r0, [sp, #6]
        cmp r0, #4
        popne {r2, r3, r7, pc}
        ldr r0, [sp]
        add r1, r3, #2
        ldrb r2, [r3, #1]
        mov r7, #4
        svc #0                                          # write()
        pop {r2, r3, r7, pc}

"Shutting down, got signal: Terminated\n" to file 2, 40 bytes

"pause 0.1.0\n" to file 1, 14 bytes

"Warning: pause should be the first process\n" to file 2, 45 bytes

"Shutting down, got signal: Interrupt\n" to file 2, 39 bytes
