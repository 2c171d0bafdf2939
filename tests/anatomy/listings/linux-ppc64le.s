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
        e_machine = EM_PPC64                            # the architecture
        e_version = 1
        e_entry = 0xb0                                  # → _start
        e_phoff = 0x40                                  # where the program headers are
        e_shoff = 0                                     # no section table
        e_flags = 0x2
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
        p_filesz = 1002                                 # bytes in the file
        p_memsz = 1002                                  # bytes in memory
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

_start, 24 bytes
        addis r2, r12, 1
        addi r2, r2, -0x7cc0
        ld r3, 0(r1)
        addi r4, r1, 8
        stdu r1, -0x20(r1)
        b …                                             # → main + 8

main, 388 bytes
        addis r2, r12, 1
        addi r2, r2, -0x7cd8
        mflr r0
        std r29, -0x18(r1)
        std r30, -0x10(r1)
        stdu r1, -0x40(r1)
        mr r30, r4
        sldi r4, r3, 3
        std r0, 0x50(r1)
        addi r4, r4, -8
.1:
        cmpldi r3, 2
        blt .2
        ldx r5, r30, r4
        lis r6, 0xff
        addi r4, r4, -8
        addi r3, r3, -1
        ori r6, r6, 0xdfff
        lwz r5, 0(r5)
        and r5, r5, r6
        cmplwi r5, 0x562d
        bne .1
        addis r3, r2, -1
        addi r3, r3, 0x7f98
        bl message::write_if_ready
        li r29, 0
        b .6
.2:
        addis r3, r2, -1
        xxlxor vs0, vs0, vs0
        mr r4, r30
        li r0, 0xad
        li r5, 0
        li r6, 8
        li r29, 2
        addi r3, r3, 0x7e68
        std r3, 0(r30)
        li r3, 1
        std r3, 8(r30)
        li r3, 0x10
        stxvd2x vs0, r30, r3
        li r3, 0xf
        sc                                              # rt_sigaction()
        bns .3
        neg r3, r3
.3:
        cmplwi r3, 0
        bne .6
        mr r4, r30
        li r0, 0xad
        li r3, 2
        li r5, 0
        li r6, 8
        sc                                              # rt_sigaction()
        bns .4
        neg r3, r3
.4:
        cmplwi r3, 0
        li r29, 1
        bne .6
        mr r4, r30
        li r0, 0xad
        li r3, 0x11
        li r5, 0
        li r6, 8
        sc                                              # rt_sigaction()
        bns .5
        neg r3, r3
.5:
        cmplwi r3, 0
        li r29, 3
        beq .8
.6:
        li r0, 1
        mr r3, r29
        sc                                              # exit()
        bns .7
        neg r3, r3
.7:
        b .6
.8:
        addi r4, r30, 0x18
        li r0, 0xae
        li r3, 2
        li r5, 0
        li r6, 8
        sc                                              # rt_sigprocmask()
        bns .9
        neg r3, r3
.9:
        li r3, 0x11
        bl …                                            # → handle + 8
        li r0, 0x14
        sc                                              # getpid()
        bns .10
        neg r3, r3
.10:
        cmplwi r3, 1
        beq .11
        addis r3, r2, -1
        addi r3, r3, 0x7fa6
        bl message::write_if_ready
.11:
        li r0, 0x1d
        sc                                              # pause()
        bns .12
        neg r3, r3
.12:
        b .11

constants of main, 12 bytes
        0, 0, 0, 0, 0, 0, 0, 0
        0, 0, 0, 0

handle, 140 bytes
        addis r2, r12, 1
        addi r2, r2, -0x7e68
        mflr r0
        stdu r1, -0x20(r1)
        std r0, 0x30(r1)
        cmplwi r3, 2
        beq .3
        cmplwi r3, 0x11
        bne .4
.1:
        li r0, 0x72
        li r3, -1
        li r4, 0
        li r5, 1
        li r6, 0
        sc                                              # wait4()
        bns .2
        neg r3, r3
.2:
        cmpwi r3, 0
        bgt .1
        addi r1, r1, 0x20
        ld r0, 0x10(r1)
        mtlr r0
        blr
.3:
        addis r3, r2, -1
        addi r3, r3, 0x7fd3
        b .5
.4:
        addis r3, r2, -1
        addi r3, r3, 0x7f70
.5:
        bl message::write_if_ready
.6:
        li r0, 1
        li r3, 0
        sc                                              # exit()
        bns .7
        neg r3, r3
.7:
        b .6

constants of handle, 12 bytes
        0, 0, 0, 0, 0, 0, 0, 0
        0, 0, 0, 0

message::write_if_ready, 100 bytes
        std r30, -0x10(r1)
        mr r30, r3
        lbz r3, 0(r3)
        li r0, 0xa7
        li r4, 1
        li r5, 0
        stw r3, -0x18(r1)
        li r3, 4
        stw r3, -0x14(r1)
        addi r3, r1, -0x18
        sc                                              # poll()
        bns .1
        neg r3, r3
.1:
        lhz r3, -0x12(r1)
        cmplwi r3, 4
        bne .2
        lwz r3, -0x18(r1)
        addi r4, r30, 2
        lbz r5, 1(r30)
        li r0, 4
        sc                                              # write()
        bns .2
        neg r3, r3
.2:
        ld r30, -0x10(r1)
        blr

constants of message::write_if_ready, 12 bytes
        0, 0, 0, 0, 0, 0, 0, 0
        0, 0, 0, 0

"Shutting down, got signal: Terminated\n" to file 2, 40 bytes

"pause 0.1.0\n" to file 1, 14 bytes

"Warning: pause should be the first process\n" to file 2, 45 bytes

"Shutting down, got signal: Interrupt\n" to file 2, 39 bytes
