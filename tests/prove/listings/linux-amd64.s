ELF Header:
  Magic:   7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00
  Class:                             ELF64
  Data:                              2's complement, little endian
  Version:                           1 (current)
  OS/ABI:                            UNIX - System V
  ABI Version:                       0
  Type:                              DYN (Shared object file)
  Machine:                           Advanced Micro Devices X86-64
  Version:                           0x1
  Entry point address:               0xb8
  Start of program headers:          64 (bytes into file)
  Start of section headers:          0 (bytes into file)
  Flags:                             0x0
  Size of this header:               64 (bytes)
  Size of program headers:           56 (bytes)
  Number of program headers:         2
  Size of section headers:           64 (bytes)
  Number of section headers:         0
  Section header string table index: 0

Elf file type is DYN (Shared object file)
Entry point 0xb8
There are 2 program headers, starting at offset 64

Program Headers:
  Type           Offset   VirtAddr           PhysAddr           FileSiz  MemSiz   Flg Align
  LOAD           0x000000 0x0000000000000000 0x0000000000000000 0x000289 0x000289 R E 0x1000
  GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x0

 Section to Segment mapping:
  Segment Sections...
   00
   01
00000000000000b0 0000000000000007 t pause::arch::x86_64::restorer
00000000000000b8 0000000000000009 T _start
00000000000000c1 00000000000000c5 t pause::main
0000000000000186 000000000000003f t pause::handle
00000000000001c5 000000000000003a t pause::message::write_if_ready
00000000000001ff 0000000000000028 t pause::TERMINATED
0000000000000227 000000000000000e t pause::VERSION
0000000000000235 000000000000002d t pause::WARNING
0000000000000262 0000000000000027 t pause::INTERRUPT


Disassembly of section .text:

00000000000000b0 <pause::arch::x86_64::restorer>:
<L0>:
      b0:      	push	0xf
      b2:      	pop	rax
      b3:      	syscall
      b5:      	jmp	 <pause::arch::x86_64::restorer>
      b7:      	int3

00000000000000b8 <_start>:
      b8:      	pop	rdi
      b9:      	mov	rsi, rsp
      bc:      	jmp	 <pause::main>

00000000000000c1 <pause::main>:
      c1:      	push	rax
<L0>:
      c2:      	cmp	rdi, 0x2
      c6:      	jb	 <L1>
      c8:      	mov	rax, qword ptr [rsi + 8*rdi - 0x8]
      cd:      	dec	rdi
      d0:      	mov	ecx, 0xffdfff
      d5:      	and	ecx, dword ptr [rax]
      d7:      	cmp	ecx, 0x562d
      dd:      	jne	 <L0>
      df:      	lea	rdi,  <pause::VERSION>
      e6:      	call	 <pause::message::write_if_ready>
      eb:      	xor	edi, edi
      ed:      	jmp	 <L4>
<L1>:
      ef:      	lea	rax,  <pause::handle>
      f6:      	mov	qword ptr [rsi], rax
      f9:      	mov	qword ptr [rsi + 0x8], 0x4000001
     101:      	lea	rax,  <pause::arch::x86_64::restorer>
     108:      	mov	qword ptr [rsi + 0x10], rax
     10c:      	and	qword ptr [rsi + 0x18], 0x0
     111:      	push	0xd
     113:      	pop	rax
     114:      	push	0xf
     116:      	pop	rdi
     117:      	push	0x8
     119:      	pop	r10
     11b:      	xor	edx, edx
     11d:      	syscall
     11f:      	test	eax, eax
     121:      	je	 <L2>
     123:      	push	0x2
     125:      	pop	rdi
     126:      	jmp	 <L4>
<L2>:
     128:      	push	0xd
     12a:      	pop	rax
     12b:      	push	0x2
     12d:      	pop	rdi
     12e:      	xor	edx, edx
     130:      	syscall
     132:      	test	eax, eax
     134:      	je	 <L3>
     136:      	push	0x1
     138:      	pop	rdi
     139:      	jmp	 <L4>
<L3>:
     13b:      	push	0xd
     13d:      	pop	rax
     13e:      	push	0x11
     140:      	pop	rdi
     141:      	xor	edx, edx
     143:      	syscall
     145:      	test	eax, eax
     147:      	je	 <L5>
     149:      	push	0x3
     14b:      	pop	rdi
<L4>:
     14c:      	push	0x3c
     14e:      	pop	rax
     14f:      	syscall
     151:      	jmp	 <L4>
<L5>:
     153:      	add	rsi, 0x18
     157:      	push	0xe
     159:      	pop	rax
     15a:      	push	0x2
     15c:      	pop	rdi
     15d:      	xor	edx, edx
     15f:      	syscall
     161:      	push	0x11
     163:      	pop	rdi
     164:      	call	 <pause::handle>
     169:      	push	0x27
     16b:      	pop	rax
     16c:      	syscall
     16e:      	cmp	eax, 0x1
     171:      	je	 <L6>
     173:      	lea	rdi,  <pause::WARNING>
     17a:      	call	 <pause::message::write_if_ready>
<L6>:
     17f:      	push	0x22
     181:      	pop	rax
     182:      	syscall
     184:      	jmp	 <L6>

0000000000000186 <pause::handle>:
     186:      	push	rax
     187:      	cmp	edi, 0x2
     18a:      	je	 <L1>
     18c:      	cmp	edi, 0x11
     18f:      	jne	 <L2>
     191:      	push	-0x1
     193:      	pop	rdi
     194:      	push	0x1
     196:      	pop	rdx
<L0>:
     197:      	push	0x3d
     199:      	pop	rax
     19a:      	xor	esi, esi
     19c:      	xor	r10d, r10d
     19f:      	syscall
     1a1:      	test	eax, eax
     1a3:      	jg	 <L0>
     1a5:      	pop	rax
     1a6:      	ret
<L1>:
     1a7:      	lea	rdi,  <pause::INTERRUPT>
     1ae:      	jmp	 <L3>
<L2>:
     1b0:      	lea	rdi,  <pause::TERMINATED>
<L3>:
     1b7:      	call	 <pause::message::write_if_ready>
<L4>:
     1bc:      	push	0x3c
     1be:      	pop	rax
     1bf:      	xor	edi, edi
     1c1:      	syscall
     1c3:      	jmp	 <L4>

00000000000001c5 <pause::message::write_if_ready>:
     1c5:      	push	rax
     1c6:      	mov	r8, rdi
     1c9:      	movzx	eax, byte ptr [rdi]
     1cc:      	mov	rdi, rsp
     1cf:      	mov	dword ptr [rdi], eax
     1d1:      	mov	dword ptr [rdi + 0x4], 0x4
     1d8:      	push	0x7
     1da:      	pop	rax
     1db:      	push	0x1
     1dd:      	pop	rsi
     1de:      	xor	edx, edx
     1e0:      	syscall
     1e2:      	cmp	word ptr [rdi + 0x6], 0x4
     1e7:      	jne	 <L0>
     1e9:      	mov	edi, dword ptr [rsp]
     1ec:      	movzx	edx, byte ptr [r8 + 0x1]
     1f1:      	add	r8, 0x2
     1f5:      	push	0x1
     1f7:      	pop	rax
     1f8:      	mov	rsi, r8
     1fb:      	syscall
<L0>:
     1fd:      	pop	rax
     1fe:      	ret

00000000000001ff <pause::TERMINATED>:
     1ff: 02 26 53 68 75 74 74 69         .&Shutti
     207: 6e 67 20 64 6f 77 6e 2c         ng down,
     20f: 20 67 6f 74 20 73 69 67          got sig
     217: 6e 61 6c 3a 20 54 65 72         nal: Ter
     21f: 6d 69 6e 61 74 65 64 0a         minated.

0000000000000227 <pause::VERSION>:
     227: 01 0c 70 61 75 73 65 20         ..pause
     22f: 30 2e 31 2e 30 0a               0.1.0.

0000000000000235 <pause::WARNING>:
     235: 02 2b 57 61 72 6e 69 6e         .+Warnin
     23d: 67 3a 20 70 61 75 73 65         g: pause
     245: 20 73 68 6f 75 6c 64 20          should
     24d: 62 65 20 74 68 65 20 66         be the f
     255: 69 72 73 74 20 70 72 6f         irst pro
     25d: 63 65 73 73 0a                  cess.

0000000000000262 <pause::INTERRUPT>:
     262: 02 25 53 68 75 74 74 69         .%Shutti
     26a: 6e 67 20 64 6f 77 6e 2c         ng down,
     272: 20 67 6f 74 20 73 69 67          got sig
     27a: 6e 61 6c 3a 20 49 6e 74         nal: Int
     282: 65 72 72 75 70 74 0a            errupt.
