ELF Header:
  Magic:   7f 45 4c 46 01 01 01 00 00 00 00 00 00 00 00 00
  Class:                             ELF32
  Data:                              2's complement, little endian
  Version:                           1 (current)
  OS/ABI:                            UNIX - System V
  ABI Version:                       0
  Type:                              DYN (Shared object file)
  Machine:                           Intel 80386
  Version:                           0x1
  Entry point address:               0x7c
  Start of program headers:          52 (bytes into file)
  Start of section headers:          0 (bytes into file)
  Flags:                             0x0
  Size of this header:               52 (bytes)
  Size of program headers:           32 (bytes)
  Number of program headers:         2
  Size of section headers:           40 (bytes)
  Number of section headers:         0
  Section header string table index: 0

Elf file type is DYN (Shared object file)
Entry point 0x7c
There are 2 program headers, starting at offset 52

Program Headers:
  Type           Offset   VirtAddr   PhysAddr   FileSiz MemSiz  Flg Align
  LOAD           0x000000 0x00000000 0x00000000 0x00299 0x00299 R E 0x1000
  GNU_STACK      0x000000 0x00000000 0x00000000 0x00000 0x00000 RW  0x0

 Section to Segment mapping:
  Segment Sections...
   00
   01
00000074 00000008 t pause::arch::x86::restorer
0000007c 0000000d T _start
00000089 000000f1 t pause::main
0000017a 00000056 t pause::handle
000001d0 0000003f t pause::message::write_if_ready
0000020f 00000028 t pause::TERMINATED
00000237 0000000e t pause::VERSION
00000245 0000002d t pause::WARNING
00000272 00000027 t pause::INTERRUPT
0000029c 00000000 b _GLOBAL_OFFSET_TABLE_


Disassembly of section .text:

00000074 <pause::arch::x86::restorer>:
      74:      	pop	eax
<L0>:
      75:      	push	0x77
      77:      	pop	eax
      78:      	int	0x80
      7a:      	jmp	 <L0>

0000007c <_start>:
      7c:      	pop	eax
      7d:      	mov	ecx, esp
      7f:      	sub	esp, 0xc
      82:      	push	ecx
      83:      	push	eax
      84:      	call	 <pause::main>

00000089 <pause::main>:
      89:      	push	ebx
      8a:      	push	edi
      8b:      	push	esi
      8c:      	sub	esp, 0x10
      8f:      	call	 <L0>
<L0>:
      94:      	pop	esi
      95:      	add	esi, 0x208
      9b:      	mov	ecx, dword ptr [esp + 0x24]
      9f:      	mov	eax, dword ptr [esp + 0x20]
<L1>:
      a3:      	cmp	eax, 0x2
      a6:      	jb	 <L2>
      a8:      	mov	edx, dword ptr [ecx + 4*eax - 0x4]
      ac:      	dec	eax
      ad:      	mov	edi, 0xffdfff
      b2:      	and	edi, dword ptr [edx]
      b4:      	cmp	edi, 0x562d
      ba:      	jne	 <L1>
      bc:      	lea	ecx, [esi - 0x65]
      c2:      	mov	ebx, esi
      c4:      	call	 <pause::message::write_if_ready>
      c9:      	xor	ebx, ebx
      cb:      	jmp	 <L4>
<L2>:
      cd:      	lea	eax, [esi - 0x122]
      d3:      	mov	dword ptr [ecx], eax
      d5:      	mov	dword ptr [ecx + 0x4], 0x4000001
      dc:      	lea	eax, [esi - 0x228]
      e2:      	mov	dword ptr [ecx + 0x8], eax
      e5:      	and	dword ptr [ecx + 0x10], 0x0
      e9:      	and	dword ptr [ecx + 0xc], 0x0
      ed:      	push	0x8
      ef:      	pop	edi
      f0:      	push	0xf
      f2:      	pop	ebx
      f3:      	mov	eax, 0xae
      f8:      	xor	edx, edx
      fa:      	xchg	esi, edi
      fc:      	int	0x80
      fe:      	xchg	esi, edi
     100:      	push	0x2
     102:      	pop	ebx
     103:      	test	eax, eax
     105:      	jne	 <L4>
     107:      	mov	eax, 0xae
     10c:      	xor	edx, edx
     10e:      	xchg	esi, edi
     110:      	int	0x80
     112:      	xchg	esi, edi
     114:      	test	eax, eax
     116:      	je	 <L3>
     118:      	xor	ebx, ebx
     11a:      	inc	ebx
     11b:      	jmp	 <L4>
<L3>:
     11d:      	push	0x11
     11f:      	pop	ebx
     120:      	mov	eax, 0xae
     125:      	xor	edx, edx
     127:      	xchg	esi, edi
     129:      	int	0x80
     12b:      	xchg	esi, edi
     12d:      	test	eax, eax
     12f:      	je	 <L5>
     131:      	push	0x3
     133:      	pop	ebx
<L4>:
     134:      	xor	eax, eax
     136:      	inc	eax
     137:      	int	0x80
     139:      	jmp	 <L4>
<L5>:
     13b:      	add	ecx, 0xc
     13e:      	push	0x2
     140:      	pop	ebx
     141:      	mov	eax, 0xaf
     146:      	xor	edx, edx
     148:      	xchg	esi, edi
     14a:      	int	0x80
     14c:      	xchg	esi, edi
     14e:      	mov	dword ptr [esp], 0x11
     155:      	mov	ebx, esi
     157:      	call	 <pause::handle>
     15c:      	push	0x14
     15e:      	pop	eax
     15f:      	int	0x80
     161:      	cmp	eax, 0x1
     164:      	je	 <L6>
     166:      	lea	ecx, [esi - 0x57]
     16c:      	mov	ebx, esi
     16e:      	call	 <pause::message::write_if_ready>
<L6>:
     173:      	push	0x1d
     175:      	pop	eax
     176:      	int	0x80
     178:      	jmp	 <L6>

0000017a <pause::handle>:
     17a:      	push	ebx
     17b:      	push	esi
     17c:      	push	eax
     17d:      	call	 <L0>
<L0>:
     182:      	pop	ebx
     183:      	add	ebx, 0x11a
     189:      	mov	eax, dword ptr [esp + 0x10]
     18d:      	cmp	eax, 0x2
     190:      	je	 <L2>
     192:      	cmp	eax, 0x11
     195:      	jne	 <L3>
     197:      	xor	ebx, ebx
     199:      	dec	ebx
<L1>:
     19a:      	push	0x72
     19c:      	pop	eax
     19d:      	xor	esi, esi
     19f:      	xor	edx, edx
     1a1:      	inc	edx
     1a2:      	xor	ecx, ecx
     1a4:      	xchg	esi, esi
     1a6:      	int	0x80
     1a8:      	xchg	esi, esi
     1aa:      	test	eax, eax
     1ac:      	jg	 <L1>
     1ae:      	add	esp, 0x4
     1b1:      	pop	esi
     1b2:      	pop	ebx
     1b3:      	ret
<L2>:
     1b4:      	lea	ecx, [ebx - 0x2a]
     1ba:      	jmp	 <L4>
<L3>:
     1bc:      	lea	ecx, [ebx - 0x8d]
<L4>:
     1c2:      	call	 <pause::message::write_if_ready>
<L5>:
     1c7:      	xor	eax, eax
     1c9:      	inc	eax
     1ca:      	xor	ebx, ebx
     1cc:      	int	0x80
     1ce:      	jmp	 <L5>

000001d0 <pause::message::write_if_ready>:
     1d0:      	push	ebx
     1d1:      	push	esi
     1d2:      	sub	esp, 0x8
     1d5:      	mov	esi, ecx
     1d7:      	movzx	eax, byte ptr [ecx]
     1da:      	mov	ebx, esp
     1dc:      	mov	dword ptr [ebx], eax
     1de:      	mov	dword ptr [ebx + 0x4], 0x4
     1e5:      	xor	ecx, ecx
     1e7:      	inc	ecx
     1e8:      	mov	eax, 0xa8
     1ed:      	xor	edx, edx
     1ef:      	int	0x80
     1f1:      	cmp	word ptr [ebx + 0x6], 0x4
     1f6:      	jne	 <L0>
     1f8:      	mov	ebx, dword ptr [esp]
     1fb:      	movzx	edx, byte ptr [esi + 0x1]
     1ff:      	add	esi, 0x2
     202:      	push	0x4
     204:      	pop	eax
     205:      	mov	ecx, esi
     207:      	int	0x80
<L0>:
     209:      	add	esp, 0x8
     20c:      	pop	esi
     20d:      	pop	ebx
     20e:      	ret

0000020f <pause::TERMINATED>:
     20f: 02 26 53 68 75 74 74 69         .&Shutti
     217: 6e 67 20 64 6f 77 6e 2c         ng down,
     21f: 20 67 6f 74 20 73 69 67          got sig
     227: 6e 61 6c 3a 20 54 65 72         nal: Ter
     22f: 6d 69 6e 61 74 65 64 0a         minated.

00000237 <pause::VERSION>:
     237: 01 0c 70 61 75 73 65 20         ..pause
     23f: 30 2e 31 2e 30 0a               0.1.0.

00000245 <pause::WARNING>:
     245: 02 2b 57 61 72 6e 69 6e         .+Warnin
     24d: 67 3a 20 70 61 75 73 65         g: pause
     255: 20 73 68 6f 75 6c 64 20          should
     25d: 62 65 20 74 68 65 20 66         be the f
     265: 69 72 73 74 20 70 72 6f         irst pro
     26d: 63 65 73 73 0a                  cess.

00000272 <pause::INTERRUPT>:
     272: 02 25 53 68 75 74 74 69         .%Shutti
     27a: 6e 67 20 64 6f 77 6e 2c         ng down,
     282: 20 67 6f 74 20 73 69 67          got sig
     28a: 6e 61 6c 3a 20 49 6e 74         nal: Int
     292: 65 72 72 75 70 74 0a            errupt.
