ELF Header:
  Magic:   7f 45 4c 46 01 01 01 00 00 00 00 00 00 00 00 00
  Class:                             ELF32
  Data:                              2's complement, little endian
  Version:                           1 (current)
  OS/ABI:                            UNIX - System V
  ABI Version:                       0
  Type:                              DYN (Shared object file)
  Machine:                           ARM
  Version:                           0x1
  Entry point address:               0x74
  Start of program headers:          52 (bytes into file)
  Start of section headers:          0 (bytes into file)
  Flags:                             0x5000200
  Size of this header:               52 (bytes)
  Size of program headers:           32 (bytes)
  Number of program headers:         2
  Size of section headers:           40 (bytes)
  Number of section headers:         0
  Section header string table index: 0

Elf file type is DYN (Shared object file)
Entry point 0x74
There are 2 program headers, starting at offset 52

Program Headers:
  Type           Offset   VirtAddr   PhysAddr   FileSiz MemSiz  Flg Align
  LOAD           0x000000 0x00000000 0x00000000 0x002f2 0x002f2 R E 0x10000
  GNU_STACK      0x000000 0x00000000 0x00000000 0x00000 0x00000 RW  0x0

 Section to Segment mapping:
  Segment Sections...
   00
   01
                  U __aeabi_unwind_cpp_pr0
00000074 0000000c T _start
00000080 00000130 t pause::main
000001b0 00000068 t pause::handle
00000218 00000050 t pause::message::write_if_ready
00000268 00000028 t pause::TERMINATED
00000290 0000000e t pause::VERSION
0000029e 0000002d t pause::WARNING
000002cb 00000027 t pause::INTERRUPT


Disassembly of section .text:

00000074 <_start>:
      74:      	ldr	r0, [sp]
      78:      	add	r1, sp, #4
      7c:      	b	0x80 <pause::main>      @ imm = #-0x4

00000080 <pause::main>:
      80:      	push	{r7, lr}
      84:      	cmp	r0, #2
      88:      	blo	0xd8 <pause::main+0x58> @ imm = #0x48
      8c:      	add	r2, r1, r0, lsl #2
      90:      	sub	r0, r0, #1
      94:      	ldr	r2, [r2, #-0x4]
      98:      	ldrb	r3, [r2, #0x1]
      9c:      	ldrb	r12, [r2]
      a0:      	ldrb	r2, [r2, #0x2]
      a4:      	orr	r3, r12, r3, lsl #8
      a8:      	orr	r2, r3, r2, lsl #16
      ac:      	ldr	r3, [pc, #0xec] <pause::main+0x120>
      b0:      	and	r2, r2, r3
      b4:      	mov	r3, #45
      b8:      	orr	r3, r3, #22016
      bc:      	cmp	r2, r3
      c0:      	bne	0x84 <pause::main+0x4>  @ imm = #-0x44
      c4:      	ldr	r0, [pc, #0xd8] <pause::main+0x124>
      c8:      	add	r0, pc, r0
      cc:      	bl	0x218 <pause::message::write_if_ready> @ imm = #0x144
      d0:      	mov	r2, #0
      d4:      	b	0x14c <pause::main+0xcc> @ imm = #0x70
      d8:      	ldr	r3, [pc, #0xc8] <pause::main+0x128>
      dc:      	mov	r0, #0
      e0:      	mov	r2, #1
      e4:      	str	r0, [r1, #0x8]
      e8:      	add	r3, pc, r3
      ec:      	str	r3, [r1]
      f0:      	str	r2, [r1, #0x4]
      f4:      	mov	r2, #0
      f8:      	str	r0, [r1, #0xc]
      fc:      	mov	r7, #174
     100:      	str	r0, [r1, #0x10]
     104:      	mov	r0, #15
     108:      	mov	r3, #8
     10c:      	svc	#0x0
     110:      	mov	r2, #2
     114:      	cmp	r0, #0
     118:      	bne	0x14c <pause::main+0xcc> @ imm = #0x2c
     11c:      	mov	r0, #2
     120:      	mov	r2, #0
     124:      	svc	#0x0
     128:      	mov	r2, #1
     12c:      	cmp	r0, #0
     130:      	bne	0x14c <pause::main+0xcc> @ imm = #0x14
     134:      	mov	r0, #17
     138:      	mov	r2, #0
     13c:      	svc	#0x0
     140:      	mov	r2, #3
     144:      	cmp	r0, #0
     148:      	beq	0x15c <pause::main+0xdc> @ imm = #0xc
     14c:      	mov	r7, #1
     150:      	mov	r0, r2
     154:      	svc	#0x0
     158:      	b	0x150 <pause::main+0xd0> @ imm = #-0x10
     15c:      	mov	r0, #2
     160:      	add	r1, r1, #12
     164:      	mov	r7, #175
     168:      	mov	r2, #0
     16c:      	svc	#0x0
     170:      	mov	r0, #17
     174:      	bl	0x1b0 <pause::handle>   @ imm = #0x34
     178:      	mov	r7, #20
     17c:      	svc	#0x0
     180:      	cmp	r0, #1
     184:      	beq	0x194 <pause::main+0x114> @ imm = #0x8
     188:      	ldr	r0, [pc, #0x1c] <pause::main+0x12c>
     18c:      	add	r0, pc, r0
     190:      	bl	0x218 <pause::message::write_if_ready> @ imm = #0x80
     194:      	mov	r7, #29
     198:      	svc	#0x0
     19c:      	b	0x198 <pause::main+0x118> @ imm = #-0xc
     1a0: ff df ff 00  	.word	0x00ffdfff
     1a4: c0 01 00 00  	.word	0x000001c0
     1a8: c0 00 00 00  	.word	0x000000c0
     1ac: 0a 01 00 00  	.word	0x0000010a

000001b0 <pause::handle>:
     1b0:      	push	{r7, lr}
     1b4:      	cmp	r0, #2
     1b8:      	beq	0x1e8 <pause::handle+0x38> @ imm = #0x28
     1bc:      	cmp	r0, #17
     1c0:      	bne	0x1f4 <pause::handle+0x44> @ imm = #0x2c
     1c4:      	mov	r7, #114
     1c8:      	mov	r1, #0
     1cc:      	mov	r2, #1
     1d0:      	mov	r3, #0
     1d4:      	mvn	r0, #0
     1d8:      	svc	#0x0
     1dc:      	cmp	r0, #0
     1e0:      	bgt	0x1d4 <pause::handle+0x24> @ imm = #-0x14
     1e4:      	pop	{r7, pc}
     1e8:      	ldr	r0, [pc, #0x24] <pause::handle+0x64>
     1ec:      	add	r0, pc, r0
     1f0:      	b	0x1fc <pause::handle+0x4c> @ imm = #0x4
     1f4:      	ldr	r0, [pc, #0x14] <pause::handle+0x60>
     1f8:      	add	r0, pc, r0
     1fc:      	bl	0x218 <pause::message::write_if_ready> @ imm = #0x14
     200:      	mov	r7, #1
     204:      	mov	r0, #0
     208:      	svc	#0x0
     20c:      	b	0x204 <pause::handle+0x54> @ imm = #-0x10
     210: 68 00 00 00  	.word	0x00000068
     214: d7 00 00 00  	.word	0x000000d7

00000218 <pause::message::write_if_ready>:
     218:      	push	{r5, r6, r7, lr}
     21c:      	mov	r3, r0
     220:      	mov	r0, #4
     224:      	str	r0, [sp, #0x4]
     228:      	mov	r7, #168
     22c:      	ldrb	r0, [r3]
     230:      	mov	r1, #1
     234:      	str	r0, [sp]
     238:      	mov	r0, sp
     23c:      	mov	r2, #0
     240:      	svc	#0x0
     244:      	ldrh	r0, [sp, #6]
     248:      	cmp	r0, #4
     24c:      	popne	{r2, r3, r7, pc}
     250:      	ldr	r0, [sp]
     254:      	add	r1, r3, #2
     258:      	ldrb	r2, [r3, #0x1]
     25c:      	mov	r7, #4
     260:      	svc	#0x0
     264:      	pop	{r2, r3, r7, pc}

00000268 <pause::TERMINATED>:
     268: 02 26 53 68 75 74 74 69         .&Shutti
     270: 6e 67 20 64 6f 77 6e 2c         ng down,
     278: 20 67 6f 74 20 73 69 67          got sig
     280: 6e 61 6c 3a 20 54 65 72         nal: Ter
     288: 6d 69 6e 61 74 65 64 0a         minated.

00000290 <pause::VERSION>:
     290: 01 0c 70 61 75 73 65 20         ..pause
     298: 30 2e 31 2e 30 0a               0.1.0.

0000029e <pause::WARNING>:
     29e: 02 2b 57 61 72 6e 69 6e         .+Warnin
     2a6: 67 3a 20 70 61 75 73 65         g: pause
     2ae: 20 73 68 6f 75 6c 64 20          should
     2b6: 62 65 20 74 68 65 20 66         be the f
     2be: 69 72 73 74 20 70 72 6f         irst pro
     2c6: 63 65 73 73 0a                  cess.

000002cb <pause::INTERRUPT>:
     2cb: 02 25 53 68 75 74 74 69         .%Shutti
     2d3: 6e 67 20 64 6f 77 6e 2c         ng down,
     2db: 20 67 6f 74 20 73 69 67          got sig
     2e3: 6e 61 6c 3a 20 49 6e 74         nal: Int
     2eb: 65 72 72 75 70 74 0a            errupt.
