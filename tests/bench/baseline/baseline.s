# The best that a compiler could make of src/main.rs: the same system calls in the same order, in as few bytes as
# possible, under two rules.
#
# - It relies on nothing but the System V ABI and the kernel's interface: not, for example, on registers that happen
#   to be zero at the start. A call finds the stack aligned, and returns to the next instruction.
# - Code is code, and text is text.
#
# Without the rules, it would have some 25 bytes and 2 instructions less: a call that never returns could push the
# address of the handler, of the restorer, or of a text that follows it. No compiler does that.

.set POLL, 7
.set RT_SIGACTION, 13
.set RT_SIGPROCMASK, 14
.set RT_SIGRETURN, 15
.set PAUSE, 34
.set GETPID, 39
.set EXIT, 60
.set WAIT4, 61
.set WRITE, 1

.set STDOUT, 1
.set STDERR, 2
.set SIGINT, 2
.set SIGTERM, 15
.set SIGCHLD, 17
.set SA_NOCLDSTOP, 0x00000001
.set SA_RESTORER, 0x04000000
.set SIG_SETMASK, 2
.set WNOHANG, 1
.set POLLOUT, 4

# Loads a small number in 3 bytes instead of mov's 5.
.macro set register, value
    push \value
    pop \register
.endm

.globl _start
_start:
    mov ecx, [rsp]              # argc
next_argument:
    dec ecx
    jle install
    mov rax, [rsp + 8 + 8 * rcx]
    mov eax, [rax]
    and eax, 0x00ffdfff         # three bytes count, and not the case of the second
    cmp eax, 0x0000562d         # "-V\0"
    jne next_argument
    set rdi, STDOUT
    lea rsi, [rip + version]
    call print
exit:
    xor edi, edi
exit_with:
    set rax, EXIT
    syscall
    jmp exit_with

install:
    push 0                      # sa_mask
    lea rax, [rip + restorer]
    push rax                    # sa_restorer
    push SA_RESTORER + SA_NOCLDSTOP
    lea rax, [rip + handle]
    push rax                    # sa_handler
    mov ebx, SIGTERM + (SIGINT << 8) + (SIGCHLD << 16)
    set rsi, rsp
    xor edx, edx
    set r10, 8
next_signal:                    # a system call keeps every register but rax, rcx and r11
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
    lea rsi, [rip + warning]
    call warn
sleep:
    set rax, PAUSE
    syscall
    jmp sleep

failed:
    shr edi, 3                  # SIGINT 0, SIGTERM 1, SIGCHLD 2
    inc edi
    jmp exit_with

handle:
    sub edi, SIGINT
    je interrupted
    sub edi, SIGCHLD - SIGINT
    je reap
    lea rsi, [rip + terminated]
    jmp leave
interrupted:
    lea rsi, [rip + interrupt]
leave:
    push rax                    # aligns the stack
    call warn
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

restorer:
    set rax, RT_SIGRETURN
    syscall
    jmp restorer

warn:
    set rdi, STDERR
print:                          # the message rsi to the file rdi
    push rsi
    push rdi                    # a pollfd: the file,
    set rdi, rsp
    mov byte ptr [rdi + 4], POLLOUT
    set rsi, 1
    xor edx, edx
    set rax, POLL
    syscall
    cmp byte ptr [rdi + 6], POLLOUT
    pop rdi                     # write looks at the lower half alone
    pop rsi
    jne 1f
    mov dl, [rsi]               # length; the rest of rdx is zero
    inc rsi
    set rax, WRITE
    syscall
1:  ret

# A message, preceded by its length.
.macro message text
    .byte 2f - 1f
1:  .ascii "\text"
2:
.endm

version:
    .byte 2f - 1f
1:  version
2:
warning:
    message "Warning: pause should be the first process\n"
interrupt:
    message "Shutting down, got signal: Interrupt\n"
terminated:
    message "Shutting down, got signal: Terminated\n"
