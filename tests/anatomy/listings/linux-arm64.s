# All of the program, part by part. `cargo xtask anatomy --listing --bless` writes this.

ELF header, 64 bytes
        EI_MAG = 7f E L F                               # what makes it an ELF file
        EI_CLASS = ELFCLASS64                           # the size of addresses
        EI_DATA = ELFDATA2LSB                           # the byte order
        EI_VERSION = 1
        EI_OSABI = ELFOSABI_SYSV
        EI_ABIVERSION = 0
        EI_PAD = 0
        e_type = ET_DYN                                 # executable at any address
        e_machine = EM_AARCH64                          # the architecture
        e_version = 1
        e_entry = 0xb0                                  # → _start
        e_phoff = 0x40                                  # where the program headers are
        e_shoff = 0                                     # no section table
        e_flags = 0
        e_ehsize = 64                                   # bytes of this header
        e_phentsize = 56                                # bytes of a program header
        e_phnum = 2                                     # program headers
        e_shentsize = 64
        e_shnum = 0
        e_shstrndx = 0

program header PT_LOAD, 56 bytes
        p_type = PT_LOAD
        p_flags = PF_X | PF_R                           # what is allowed there
        p_offset = 0                                    # where in the file
        p_vaddr = 0                                     # where in memory
        p_paddr = 0
        p_filesz = 810                                  # bytes in the file
        p_memsz = 810                                   # bytes in memory
        p_align = 0x10000

program header PT_GNU_STACK, 56 bytes
        p_type = PT_GNU_STACK
        p_flags = PF_W | PF_R                           # what is allowed there
        p_offset = 0                                    # where in the file
        p_vaddr = 0                                     # where in memory
        p_paddr = 0
        p_filesz = 0                                    # bytes in the file
        p_memsz = 0                                     # bytes in memory
        p_align = 0

_start, 12 bytes
        ldr x0, [sp]
        add x1, sp, #8
        b main

main, 292 bytes
        stp x29, x30, [sp, #-0x10]!
        mov x29, sp
.1:
        cmp x0, #2
        b.lo .2
        add x8, x1, x0, lsl #3
        mov w9, #0xdfff
        sub x0, x0, #1
        movk w9, #0xff, lsl #16
        ldur x8, [x8, #-8]
        ldr w8, [x8]
        and w8, w8, w9
        mov w9, #0x562d
        cmp w8, w9
        b.ne .1
        nop
        adr x0, …                                       # → "pause 0.1.0\n" to file 1
        bl message::write_if_ready
        mov x9, xzr
        b .5
.2:
        nop
        adr x8, handle
        mov w9, #1
        stp x8, x9, [x1]
        mov w0, #0xf
        mov w8, #0x86
        stp xzr, xzr, [x1, #0x10]
        mov x2, xzr
        mov w3, #8
        svc #0                                          # rt_sigaction()
        cbz w0, .3
        mov w9, #2
        b .5
.3:
        mov w0, #2
        mov w8, #0x86
        mov x2, xzr
        mov w3, #8
        svc #0                                          # rt_sigaction()
        cbz w0, .4
        mov w9, #1
        b .5
.4:
        mov w0, #0x11
        mov w8, #0x86
        mov x2, xzr
        mov w3, #8
        svc #0                                          # rt_sigaction()
        cbz w0, .6
        mov w9, #3
.5:
        mov x0, x9
        mov w8, #0x5d
        svc #0                                          # exit()
        b .5
.6:
        mov w0, #2
        add x1, x1, #0x18
        mov w8, #0x87
        mov x2, xzr
        mov w3, #8
        svc #0                                          # rt_sigprocmask()
        mov w0, #0x11
        bl handle
        mov w8, #0xac
        svc #0                                          # getpid()
        cmp w0, #1
        b.eq .7
        nop
        adr x0, …                                       # → "Warning: pause should be the first process\n" to file 2
        bl message::write_if_ready
.7:
        mov x1, xzr
        mov x2, xzr
        mov x3, xzr
.8:
        mov x0, xzr
        mov w8, #0x49
        svc #0                                          # ppoll()
        b .8

handle, 104 bytes
        stp x29, x30, [sp, #-0x10]!
        mov x29, sp
        cmp w0, #2
        b.eq .2
        cmp w0, #0x11
        b.ne .3
.1:
        mov x0, #-1
        mov w8, #0x104
        mov x1, xzr
        mov w2, #1
        mov x3, xzr
        svc #0                                          # wait4()
        cmp w0, #0
        b.gt .1
        ldp x29, x30, [sp], #0x10
        ret
.2:
        nop
        adr x0, …                                       # → "Shutting down, got signal: Interrupt\n" to file 2
        b .4
.3:
        nop
        adr x0, …                                       # → "Shutting down, got signal: Terminated\n" to file 2
.4:
        bl message::write_if_ready
.5:
        mov x0, xzr
        mov w8, #0x5d
        svc #0                                          # exit()
        b .5

message::write_if_ready, 88 bytes
        sub sp, sp, #0x20
        ldrb w8, [x0]
        mov w10, #4
        mov x9, x0
        stp xzr, xzr, [sp, #0x10]
        add x0, sp, #8
        add x2, sp, #0x10
        stp w8, w10, [sp, #8]
        mov w8, #0x49
        mov w1, #1
        mov x3, xzr
        svc #0                                          # ppoll()
        ldrh w8, [sp, #0xe]
        cmp w8, #4
        b.ne .1
        ldr w0, [sp, #8]
        ldrb w2, [x9, #1]
        add x1, x9, #2
        mov w8, #0x40
        svc #0                                          # write()
.1:
        add sp, sp, #0x20
        ret

"Shutting down, got signal: Terminated\n" to file 2, 40 bytes

"pause 0.1.0\n" to file 1, 14 bytes

"Warning: pause should be the first process\n" to file 2, 45 bytes

"Shutting down, got signal: Interrupt\n" to file 2, 39 bytes
