# All of the program, part by part. `cargo xtask anatomy --listing --bless` writes this.

ELF header, 64 bytes
        EI_MAG = 7f E L F                               # what makes it an ELF file
        EI_CLASS = ELFCLASS64                           # the size of addresses
        EI_DATA = ELFDATA2MSB                           # the byte order
        EI_VERSION = 1
        EI_OSABI = ELFOSABI_SYSV
        EI_ABIVERSION = 0
        EI_PAD = 0
        e_type = ET_DYN                                 # executable at any address
        e_machine = EM_S390                             # the architecture
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
        p_filesz = 759                                  # bytes in the file
        p_memsz = 759                                   # bytes in memory
        p_align = 0x1000

program header PT_GNU_STACK, 56 bytes
        p_type = PT_GNU_STACK
        p_flags = PF_W | PF_R                           # what is allowed there
        p_offset = 0                                    # where in the file
        p_vaddr = 0                                     # where in memory
        p_paddr = 0
        p_filesz = 0                                    # bytes in the file
        p_memsz = 0                                     # bytes in memory
        p_align = 0

_start, 20 bytes
        lg %r2, 0(%r15)
        la %r3, 8(%r15)
        aghi %r15, -0xa0
        jg main

main, 242 bytes
        stmg %r14, %r15, 0x70(%r15)
        aghi %r15, -0xa0
        sllg %r1, %r2, 3
        la %r0, 1(%r2)
.1:
        aghi %r0, -1
        clgijl %r0, 2, .2
        lg %r2, -8(%r1, %r3)
        iilf %r4, 0xffdfff00
        n %r4, 0(%r2)
        aghi %r1, -8
        cfi %r4, 0x2d560000
        jlh .1
        larl %r2, …                                     # → "pause 0.1.0\n" to file 1
        brasl %r14, message::write_if_ready
        lghi %r0, 0
        j .3
.2:
        larl %r0, handle
        stg %r0, 0(%r3)
        mvghi 8(%r3), 1
        mvghi 0x10(%r3), 0
        mvghi 0x18(%r3), 0
        lghi %r1, 0xae
        lghi %r2, 0xf
        lghi %r4, 0
        lghi %r5, 8
        svc 0                                           # rt_sigaction()
        lghi %r0, 2
        cijlh %r2, 0, .3
        lghi %r2, 2
        svc 0                                           # rt_sigaction()
        lghi %r0, 1
        cijlh %r2, 0, .3
        lghi %r2, 0x11
        svc 0                                           # rt_sigaction()
        lghi %r0, 3
        cije %r2, 0, .5
.3:
        lghi %r1, 1
.4:
        lgr %r2, %r0
        svc 0                                           # exit()
        j .4
.5:
        la %r3, 0x18(%r3)
        lghi %r1, 0xaf
        lghi %r2, 2
        svc 0                                           # rt_sigprocmask()
        lghi %r2, 0x11
        brasl %r14, handle
        lghi %r1, 0x14
        svc 0                                           # getpid()
        cije %r2, 1, .6
        larl %r2, …                                     # → "Warning: pause should be the first process\n" to file 2
        brasl %r14, message::write_if_ready
.6:
        lghi %r1, 0x1d
.7:
        svc 0                                           # pause()
        j .7

handle, 92 bytes
        stmg %r14, %r15, 0x70(%r15)
        aghi %r15, -0xa0
        cije %r2, 2, .2
        chi %r2, 0x11
        larl %r2, …                                     # → "Shutting down, got signal: Terminated\n" to file 2
        jlh .3
        lghi %r1, 0x72
        lghi %r3, 0
        lghi %r4, 1
        lghi %r5, 0
.1:
        lghi %r2, -1
        svc 0                                           # wait4()
        cijh %r2, 0, .1
        lmg %r14, %r15, 0x110(%r15)
        br %r14
.2:
        larl %r2, …                                     # → "Shutting down, got signal: Interrupt\n" to file 2
.3:
        brasl %r14, message::write_if_ready
        lghi %r1, 1
.4:
        lghi %r2, 0
        svc 0                                           # exit()
        j .4

message::write_if_ready, 90 bytes
        stmg %r14, %r15, 0x70(%r15)
        aghi %r15, -0xa8
        lgr %r5, %r2
        llc %r0, 0(%r2)
        st %r0, 0xa0(%r15)
        llilh %r0, 4
        st %r0, 0xa4(%r15)
        la %r2, 0xa0(%r15)
        lghi %r1, 0xa8
        lghi %r3, 1
        lghi %r4, 0
        svc 0                                           # poll()
        clhhsi 0xa6(%r15), 4
        jlh .1
        llgf %r2, 0xa0(%r15)
        llgc %r4, 1(%r5)
        la %r3, 2(%r5)
        lghi %r1, 4
        svc 0                                           # write()
.1:
        lmg %r14, %r15, 0x118(%r15)
        br %r14

"Shutting down, got signal: Terminated\n" to file 2, 40 bytes

"pause 0.1.0\n" to file 1, 14 bytes

"Warning: pause should be the first process\n" to file 2, 45 bytes

padding, 1 bytes

"Shutting down, got signal: Interrupt\n" to file 2, 39 bytes
