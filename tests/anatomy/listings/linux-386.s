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
        e_machine = EM_386                              # the architecture
        e_version = 1
        e_entry = 0x7c                                  # → _start
        e_phoff = 0x34                                  # where the program headers are
        e_shoff = 0                                     # no section table
        e_flags = 0
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
        p_filesz = 665                                  # bytes in the file
        p_memsz = 665                                   # bytes in memory
        p_flags = PF_X | PF_R                           # what is allowed there
        p_align = 0x1000

program header PT_GNU_STACK, 32 bytes
        p_type = PT_GNU_STACK
        p_offset = 0                                    # where in the file
        p_vaddr = 0                                     # where in memory
        p_paddr = 0
        p_filesz = 0                                    # bytes in the file
        p_memsz = 0                                     # bytes in memory
        p_flags = PF_W | PF_R                           # what is allowed there
        p_align = 0

arch::x86::restorer, 8 bytes
        pop eax
.1:
        push 0x77
        pop eax
        int 0x80                                        # sigreturn()
        jmp .1

_start, 13 bytes
        pop eax
        mov ecx, esp
        sub esp, 0xc
        push ecx
        push eax
        call main

main, 241 bytes
        push ebx
        push edi
        push esi
        sub esp, 0x10
        call .1
.1:
        pop esi
        add esi, 0x208
        mov ecx, dword ptr [esp + 0x24]
        mov eax, dword ptr [esp + 0x20]
.2:
        cmp eax, 2
        jb .3
        mov edx, dword ptr [ecx + eax*4 - 4]
        dec eax
        mov edi, 0xffdfff
        and edi, dword ptr [edx]
        cmp edi, 0x562d
        jne .2
        lea ecx, [esi - 0x65]
        mov ebx, esi
        call message::write_if_ready
        xor ebx, ebx
        jmp .5
.3:
        lea eax, [esi - 0x122]
        mov dword ptr [ecx], eax
        mov dword ptr [ecx + 4], 0x4000001
        lea eax, [esi - 0x228]
        mov dword ptr [ecx + 8], eax
        and dword ptr [ecx + 0x10], 0
        and dword ptr [ecx + 0xc], 0
        push 8
        pop edi
        push 0xf
        pop ebx
        mov eax, 0xae
        xor edx, edx
        xchg edi, esi
        int 0x80                                        # rt_sigaction()
        xchg edi, esi
        push 2
        pop ebx
        test eax, eax
        jne .5
        mov eax, 0xae
        xor edx, edx
        xchg edi, esi
        int 0x80                                        # rt_sigaction()
        xchg edi, esi
        test eax, eax
        je .4
        xor ebx, ebx
        inc ebx
        jmp .5
.4:
        push 0x11
        pop ebx
        mov eax, 0xae
        xor edx, edx
        xchg edi, esi
        int 0x80                                        # rt_sigaction()
        xchg edi, esi
        test eax, eax
        je .6
        push 3
        pop ebx
.5:
        xor eax, eax
        inc eax
        int 0x80                                        # exit()
        jmp .5
.6:
        add ecx, 0xc
        push 2
        pop ebx
        mov eax, 0xaf
        xor edx, edx
        xchg edi, esi
        int 0x80                                        # rt_sigprocmask()
        xchg edi, esi
        mov dword ptr [esp], 0x11
        mov ebx, esi
        call handle
        push 0x14
        pop eax
        int 0x80                                        # getpid()
        cmp eax, 1
        je .7
        lea ecx, [esi - 0x57]
        mov ebx, esi
        call message::write_if_ready
.7:
        push 0x1d
        pop eax
        int 0x80                                        # pause()
        jmp .7

handle, 86 bytes
        push ebx
        push esi
        push eax
        call .1
.1:
        pop ebx
        add ebx, 0x11a
        mov eax, dword ptr [esp + 0x10]
        cmp eax, 2
        je .3
        cmp eax, 0x11
        jne .4
        xor ebx, ebx
        dec ebx
.2:
        push 0x72
        pop eax
        xor esi, esi
        xor edx, edx
        inc edx
        xor ecx, ecx
        xchg esi, esi
        int 0x80                                        # wait4()
        xchg esi, esi
        test eax, eax
        jg .2
        add esp, 4
        pop esi
        pop ebx
        ret
.3:
        lea ecx, [ebx - 0x2a]
        jmp .5
.4:
        lea ecx, [ebx - 0x8d]
.5:
        call message::write_if_ready
.6:
        xor eax, eax
        inc eax
        xor ebx, ebx
        int 0x80                                        # exit()
        jmp .6

message::write_if_ready, 63 bytes
        push ebx
        push esi
        sub esp, 8
        mov esi, ecx
        movzx eax, byte ptr [ecx]
        mov ebx, esp
        mov dword ptr [ebx], eax
        mov dword ptr [ebx + 4], 4
        xor ecx, ecx
        inc ecx
        mov eax, 0xa8
        xor edx, edx
        int 0x80                                        # poll()
        cmp word ptr [ebx + 6], 4
        jne .1
        mov ebx, dword ptr [esp]
        movzx edx, byte ptr [esi + 1]
        add esi, 2
        push 4
        pop eax
        mov ecx, esi
        int 0x80                                        # write()
.1:
        add esp, 8
        pop esi
        pop ebx
        ret

"Shutting down, got signal: Terminated\n" to file 2, 40 bytes

"pause 0.1.0\n" to file 1, 14 bytes

"Warning: pause should be the first process\n" to file 2, 45 bytes

"Shutting down, got signal: Interrupt\n" to file 2, 39 bytes
