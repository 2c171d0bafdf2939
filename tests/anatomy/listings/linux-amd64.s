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
        e_machine = EM_X86_64                           # the architecture
        e_version = 1
        e_entry = 0xb8                                  # → _start
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
        p_filesz = 649                                  # bytes in the file
        p_memsz = 649                                   # bytes in memory
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

arch::x86_64::restorer, 7 bytes
.1:
        push 0xf
        pop rax
        syscall                                         # rt_sigreturn()
        jmp .1

padding, 1 bytes

_start, 9 bytes
        pop rdi
        mov rsi, rsp
        jmp main

main, 197 bytes
        push rax
.1:
        cmp rdi, 2
        jb .2
        mov rax, qword ptr [rsi + rdi*8 - 8]
        dec rdi
        mov ecx, 0xffdfff
        and ecx, dword ptr [rax]
        cmp ecx, 0x562d
        jne .1
        lea rdi, [rip + …]                              # → "pause 0.1.0\n" to file 1
        call message::write_if_ready
        xor edi, edi
        jmp .5
.2:
        lea rax, [rip + handle]
        mov qword ptr [rsi], rax
        mov qword ptr [rsi + 8], 0x4000001
        lea rax, [rip - arch::x86_64::restorer]
        mov qword ptr [rsi + 0x10], rax
        and qword ptr [rsi + 0x18], 0
        push 0xd
        pop rax
        push 0xf
        pop rdi
        push 8
        pop r10
        xor edx, edx
        syscall                                         # rt_sigaction()
        test eax, eax
        je .3
        push 2
        pop rdi
        jmp .5
.3:
        push 0xd
        pop rax
        push 2
        pop rdi
        xor edx, edx
        syscall                                         # rt_sigaction()
        test eax, eax
        je .4
        push 1
        pop rdi
        jmp .5
.4:
        push 0xd
        pop rax
        push 0x11
        pop rdi
        xor edx, edx
        syscall                                         # rt_sigaction()
        test eax, eax
        je .6
        push 3
        pop rdi
.5:
        push 0x3c
        pop rax
        syscall                                         # exit()
        jmp .5
.6:
        add rsi, 0x18
        push 0xe
        pop rax
        push 2
        pop rdi
        xor edx, edx
        syscall                                         # rt_sigprocmask()
        push 0x11
        pop rdi
        call handle
        push 0x27
        pop rax
        syscall                                         # getpid()
        cmp eax, 1
        je .7
        lea rdi, [rip + …]                              # → "Warning: pause should be the first process\n" to file 2
        call message::write_if_ready
.7:
        push 0x22
        pop rax
        syscall                                         # pause()
        jmp .7

handle, 63 bytes
        push rax
        cmp edi, 2
        je .2
        cmp edi, 0x11
        jne .3
        push -1
        pop rdi
        push 1
        pop rdx
.1:
        push 0x3d
        pop rax
        xor esi, esi
        xor r10d, r10d
        syscall                                         # wait4()
        test eax, eax
        jg .1
        pop rax
        ret
.2:
        lea rdi, [rip + …]                              # → "Shutting down, got signal: Interrupt\n" to file 2
        jmp .4
.3:
        lea rdi, [rip + …]                              # → "Shutting down, got signal: Terminated\n" to file 2
.4:
        call message::write_if_ready
.5:
        push 0x3c
        pop rax
        xor edi, edi
        syscall                                         # exit()
        jmp .5

message::write_if_ready, 58 bytes
        push rax
        mov r8, rdi
        movzx eax, byte ptr [rdi]
        mov rdi, rsp
        mov dword ptr [rdi], eax
        mov dword ptr [rdi + 4], 4
        push 7
        pop rax
        push 1
        pop rsi
        xor edx, edx
        syscall                                         # poll()
        cmp word ptr [rdi + 6], 4
        jne .1
        mov edi, dword ptr [rsp]
        movzx edx, byte ptr [r8 + 1]
        add r8, 2
        push 1
        pop rax
        mov rsi, r8
        syscall                                         # write()
.1:
        pop rax
        ret

"Shutting down, got signal: Terminated\n" to file 2, 40 bytes

"pause 0.1.0\n" to file 1, 14 bytes

"Warning: pause should be the first process\n" to file 2, 45 bytes

"Shutting down, got signal: Interrupt\n" to file 2, 39 bytes
