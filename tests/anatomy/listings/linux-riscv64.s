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
        e_machine = EM_RISCV                            # the architecture
        e_version = 1
        e_entry = 0xb0                                  # → _start
        e_phoff = 0x40                                  # where the program headers are
        e_shoff = 0                                     # no section table
        e_flags = 0x5
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
        p_filesz = 722                                  # bytes in the file
        p_memsz = 722                                   # bytes in memory
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

_start, 12 bytes
        c.ldsp a0, 0(sp)
        c.addi4spn a1, sp, 8
        auipc t1, 0
        jalr zero, t1, main

main, 248 bytes
        c.addi sp, -0x10
        c.sdsp ra, 8(sp)
        slli a2, a0, 3
        c.add a2, a1
        c.addi a2, -8
        c.addi a0, 1
.1:
        c.addi a0, -1
        c.li a4, 2
        bltu a0, a4, .2
        c.ld a3, 0(a2)
        lbu a4, 1(a3)
        lbu a5, 0(a3)
        c.addi a2, -8
        lbu a3, 2(a3)
        c.slli a4, 8
        c.or a4, a5
        lui a5, 0xffe
        c.slli a3, 0x10
        c.or a3, a4
        c.lui a4, 5
        c.addi a5, -1
        c.and a3, a5
        addi a4, a4, 0x62d
        bne a3, a4, .1
        auipc a0, 0
        addi a0, a0, 0x174
        auipc ra, 0
        jalr ra, ra, message::write_if_ready
        c.li a4, 0
        c.j .3
.2:
        auipc a2, 0
        c.li a5, 1
        addi a7, zero, 0x86
        c.li a0, 0xf
        c.li a3, 8
        addi a2, a2, 0xa4
        c.sd a2, 0(a1)
        c.sd a5, 8(a1)
        sd zero, 0x10(a1)
        c.li a2, 0
        ecall                                           # rt_sigaction()
        c.addiw a0, 0
        c.bnez a0, .3
        addi a7, zero, 0x86
        c.li a0, 2
        c.li a3, 8
        c.li a2, 0
        ecall                                           # rt_sigaction()
        c.addiw a0, 0
        c.li a4, 1
        c.bnez a0, .3
        addi a7, zero, 0x86
        c.li a0, 0x11
        c.li a3, 8
        c.li a2, 0
        ecall                                           # rt_sigaction()
        c.addiw a0, 0
        c.beqz a0, .5
        c.li a4, 3
.3:
        addi a7, zero, 0x5d
.4:
        c.mv a0, a4
        ecall                                           # exit()
        c.j .4
.5:
        c.addi a1, 0x10
        addi a7, zero, 0x87
        c.li a0, 2
        c.li a3, 8
        c.li a2, 0
        ecall                                           # rt_sigprocmask()
        c.li a0, 0x11
        auipc ra, 0
        jalr ra, ra, handle
        addi a7, zero, 0xac
        ecall                                           # getpid()
        c.addiw a0, 0
        c.li a1, 1
        beq a0, a1, .6
        auipc a0, 0
        addi a0, a0, 0xec
        auipc ra, 0
        jalr ra, ra, message::write_if_ready
.6:
        addi a7, zero, 0x49
        c.li a1, 0
        c.li a2, 0
        c.li a3, 0
.7:
        c.li a0, 0
        ecall                                           # ppoll()
        c.j .7

handle, 82 bytes
        c.addi sp, -0x10
        c.sdsp ra, 8(sp)
        c.li a1, 2
        beq a0, a1, .2
        c.li a1, 0x11
        bne a0, a1, .3
        addi a7, zero, 0x104
        c.li a2, 1
        c.li a1, 0
        c.li a3, 0
.1:
        c.li a0, -1
        ecall                                           # wait4()
        c.addiw a0, 0
        bgtz a0, .1
        c.ldsp ra, 8(sp)
        c.addi sp, 0x10
        c.jr ra
.2:
        auipc a0, 0
        addi a0, a0, 0xcb
        c.j .4
.3:
        auipc a0, 0
        addi a0, a0, 0x5e
.4:
        auipc ra, 0
        jalr ra, ra, message::write_if_ready
        addi a7, zero, 0x5d
.5:
        c.li a0, 0
        ecall                                           # exit()
        c.j .5

message::write_if_ready, 66 bytes
        c.addi sp, -0x20
        c.mv a4, a0
        lbu a2, 0(a0)
        c.li a5, 4
        c.sdsp zero, 0x10(sp)
        c.sdsp zero, 0x18(sp)
        addi a7, zero, 0x49
        c.addi4spn a0, sp, 8
        c.li a1, 1
        c.swsp a2, 8(sp)
        c.swsp a5, 0xc(sp)
        c.addi4spn a2, sp, 0x10
        c.li a3, 0
        ecall                                           # ppoll()
        lhu a0, 0xe(sp)
        bne a0, a5, .1
        lwu a0, 8(sp)
        lbu a2, 1(a4)
        addi a1, a4, 2
        addi a7, zero, 0x40
        ecall                                           # write()
.1:
        c.addi16sp sp, 0x20
        c.jr ra

"Shutting down, got signal: Terminated\n" to file 2, 40 bytes

"pause 0.1.0\n" to file 1, 14 bytes

"Warning: pause should be the first process\n" to file 2, 45 bytes

"Shutting down, got signal: Interrupt\n" to file 2, 39 bytes
