# Makes the same system calls as src/main.rs, in the same order, and is to be read beside it. It relies on
# nothing but the System V ABI and the kernel's interface: not on registers being zero at the start, say.
#
# What a compiler would not do:
# - A call pushes the address of what follows it. That is how the addresses of the handler and the restorer
#   get into the sigaction, and how a message gets to `say`, which returns to what follows the message.
# - A system call keeps every register but rax, rcx and r11, so what one has set up serves the next.

.set POLL, 7
.set RT_SIGACTION, 13
.set RT_SIGPROCMASK, 14
.set RT_SIGRETURN, 15
.set PAUSE, 34
.set GETPID, 39
.set EXIT, 60
.set WAIT4, 61

.set SIGINT, 2
.set SIGTERM, 15
.set SIGCHLD, 17
.set SA_NOCLDSTOP, 0x00000001
.set SA_RESTORER, 0x04000000
.set SIG_SETMASK, 2
.set WNOHANG, 1
.set POLLOUT, 4

# A small number in 3 bytes, where mov takes 5.
.macro set register, value
    push \value
    pop \register
.endm

# A message, its length before it.
.macro message text
    .byte 2f - 1f
1:  .ascii "\text"
2:
.endm

.globl _start
_start:
    pop rcx                     # argc; argv[0] is on top of the stack now
next_argument:
    dec ecx
    jle install
    mov rsi, [rsp + 8 * rcx]
    lodsd                       # the file's name and 8 zero bytes come behind the last string
    or ah, 0x20                 # small letter
    shl eax, 8                  # only three bytes count
    cmp eax, 0x00762d00         # "-v\0"
    jne next_argument

    set rdi, 1
    call say
    .byte exit - 1f
1:  version
exit:
    xor edi, edi
exit_with:
    set rax, EXIT
    syscall
    jmp exit_with

install:
    push 0                      # sa_mask
    call 1f                     # sa_restorer
restorer:
    set rax, RT_SIGRETURN
    syscall
    jmp restorer
1:  push SA_RESTORER + SA_NOCLDSTOP
    call install_handler        # sa_handler

handler:
    sub edi, SIGINT
    je interrupted
    sub edi, SIGCHLD - SIGINT
    je reap
    call warn
    message "Shutting down, got signal: Terminated\n"
    jmp exit
interrupted:
    call warn
    message "Shutting down, got signal: Interrupt\n"
    jmp exit

reap:
    set rdi, -1
    xor esi, esi
    set rdx, WNOHANG
    xor r10d, r10d
    set rax, WAIT4
    syscall
    test eax, eax
    jg reap
    ret

install_handler:
    mov ebx, SIGTERM + (SIGINT << 8) + (SIGCHLD << 16)
    set rsi, rsp
    xor edx, edx
    set r10, 8
next_signal:
    movzx edi, bl
    set rax, RT_SIGACTION
    syscall
    test eax, eax
    jnz failed
    shr ebx, 8
    jnz next_signal

    mov al, RT_SIGPROCMASK      # the rest of rax is zero, as the call before was a success
    set rdi, SIG_SETMASK
    add rsi, 24                 # sa_mask
    syscall
    call reap
    set rax, GETPID
    syscall
    dec eax
    jz sleep
    call warn
    message "Warning: pause should be the first process\n"
sleep:
    set rax, PAUSE
    syscall
    jmp sleep

failed:
    shr edi, 3                  # SIGINT 0, SIGTERM 1, SIGCHLD 2
    inc edi
    jmp exit_with

warn:
    set rdi, 2
say:                            # to the file rdi
    pop rsi
    lodsb
    movzx ebp, al               # length
    set rbx, rsi                # text
    push rdi                    # a pollfd: the file,
    set rdi, rsp
    mov byte ptr [rdi + 4], POLLOUT
    set rsi, 1
    xor edx, edx
    set rax, POLL
    syscall
    cmp byte ptr [rdi + 6], POLLOUT
    pop rdi                     # write looks at the lower half alone
    jne 1f
    set rsi, rbx
    set rdx, rbp
    syscall                     # rax is 1, poll's answer and the number of write
1:  add rbx, rbp
    jmp rbx
