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
        e_machine = EM_LOONGARCH                        # the architecture
        e_version = 1
        e_entry = 0xb0                                  # → _start
        e_phoff = 0x40                                  # where the program headers are
        e_shoff = 0                                     # no section table
        e_flags = 0x43
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
        p_filesz = 826                                  # bytes in the file
        p_memsz = 826                                   # bytes in memory
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
        ld.d $a0, $sp, 0
        addi.d $a1, $sp, 8
        b main

main, 304 bytes
        addi.d $sp, $sp, -16
        st.d $ra, $sp, 8
        slli.d $a2, $a0, 3
        addi.d $a2, $a2, -8
        addi.d $a0, $a0, 1
.1:
        addi.d $a0, $a0, -1
        ori $a4, $zero, 2
        bltu $a0, $a4, .2
        ldx.d $a3, $a1, $a2
        ld.wu $a3, $a3, 0
        addi.d $a2, $a2, -8
        lu12i.w $a4, 4093
        ori $a4, $a4, 4095
        and $a3, $a3, $a4
        lu12i.w $a4, 5
        ori $a4, $a4, 1581
        bne $a3, $a4, .1
        pcaddi $a0, …                                   # → "pause 0.1.0\n" to file 1
        bl message::write_if_ready
        move $a4, $zero
        b .3
.2:
        pcaddi $a0, handle
        st.d $a0, $a1, 0
        ori $a0, $zero, 1
        st.d $a0, $a1, 8
        st.d $zero, $a1, 16
        ori $a7, $zero, 134
        ori $a0, $zero, 15
        ori $a3, $zero, 8
        move $a2, $zero
        syscall 0                                       # rt_sigaction()
        slli.d $a0, $a0, 32
        bnez $a0, .3
        ori $a7, $zero, 134
        ori $a0, $zero, 2
        ori $a3, $zero, 8
        move $a2, $zero
        syscall 0                                       # rt_sigaction()
        slli.d $a0, $a0, 32
        ori $a4, $zero, 1
        bnez $a0, .3
        ori $a7, $zero, 134
        ori $a0, $zero, 17
        ori $a3, $zero, 8
        move $a2, $zero
        syscall 0                                       # rt_sigaction()
        slli.d $a0, $a0, 32
        ori $a4, $zero, 3
        beqz $a0, .5
.3:
        ori $a7, $zero, 93
.4:
        move $a0, $a4
        syscall 0                                       # exit()
        b .4
.5:
        addi.d $a1, $a1, 16
        ori $a7, $zero, 135
        ori $a0, $zero, 2
        ori $a3, $zero, 8
        move $a2, $zero
        syscall 0                                       # rt_sigprocmask()
        ori $a0, $zero, 17
        bl handle
        ori $a7, $zero, 172
        syscall 0                                       # getpid()
        bstrpick.d $a0, $a0, 31, 0
        ori $a1, $zero, 1
        beq $a0, $a1, .6
        pcalau12i $a0, 0
        addi.d $a0, $a0, …                              # → "Warning: pause should be the first process\n" to file 2
        bl message::write_if_ready
.6:
        ori $a7, $zero, 73
        move $a1, $zero
        move $a2, $zero
        move $a3, $zero
.7:
        move $a0, $zero
        syscall 0                                       # ppoll()
        b .7

handle, 104 bytes
        addi.d $sp, $sp, -16
        st.d $ra, $sp, 8
        ori $a1, $zero, 2
        beq $a0, $a1, .2
        ori $a1, $zero, 17
        bne $a0, $a1, .3
        ori $a7, $zero, 260
        ori $a2, $zero, 1
        move $a1, $zero
        move $a3, $zero
.1:
        addi.w $a0, $zero, -1
        syscall 0                                       # wait4()
        addi.w $a0, $a0, 0
        blt $zero, $a0, .1
        ld.d $ra, $sp, 8
        addi.d $sp, $sp, 16
        ret
.2:
        pcalau12i $a0, 0
        addi.d $a0, $a0, …                              # → "Shutting down, got signal: Interrupt\n" to file 2
        b .4
.3:
        pcaddi $a0, …                                   # → "Shutting down, got signal: Terminated\n" to file 2
.4:
        bl message::write_if_ready
        ori $a7, $zero, 93
.5:
        move $a0, $zero
        syscall 0                                       # exit()
        b .5

message::write_if_ready, 92 bytes
        addi.d $sp, $sp, -32
        move $a4, $a0
        ld.bu $a0, $a0, 0
        st.w $a0, $sp, 8
        ori $a5, $zero, 4
        st.w $a5, $sp, 12
        st.d $zero, $sp, 24
        st.d $zero, $sp, 16
        ori $a7, $zero, 73
        addi.d $a0, $sp, 8
        ori $a1, $zero, 1
        addi.d $a2, $sp, 16
        move $a3, $zero
        syscall 0                                       # ppoll()
        ld.hu $a0, $sp, 14
        bne $a0, $a5, .1
        ld.wu $a0, $sp, 8
        ld.bu $a2, $a4, 1
        addi.d $a1, $a4, 2
        ori $a7, $zero, 64
        syscall 0                                       # write()
.1:
        addi.d $sp, $sp, 32
        ret

"Shutting down, got signal: Terminated\n" to file 2, 40 bytes

"pause 0.1.0\n" to file 1, 14 bytes

"Warning: pause should be the first process\n" to file 2, 45 bytes

"Shutting down, got signal: Interrupt\n" to file 2, 39 bytes
