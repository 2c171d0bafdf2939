ELF Header:
  Magic:   7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00
  Class:                             ELF64
  Data:                              2's complement, little endian
  Version:                           1 (current)
  OS/ABI:                            UNIX - System V
  ABI Version:                       0
  Type:                              DYN (Shared object file)
  Machine:                           AArch64
  Version:                           0x1
  Entry point address:               0xb0
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
Entry point 0xb0
There are 2 program headers, starting at offset 64

Program Headers:
  Type           Offset   VirtAddr           PhysAddr           FileSiz  MemSiz   Flg Align
  LOAD           0x000000 0x0000000000000000 0x0000000000000000 0x00032a 0x00032a R E 0x10000
  GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x0

 Section to Segment mapping:
  Segment Sections...
   00
   01
00000000000000b0 000000000000000c T _start
00000000000000bc 0000000000000124 t pause::main
00000000000001e0 0000000000000068 t pause::handle
0000000000000248 0000000000000058 t pause::message::write_if_ready
00000000000002a0 0000000000000028 t pause::TERMINATED
00000000000002c8 000000000000000e t pause::VERSION
00000000000002d6 000000000000002d t pause::WARNING
0000000000000303 0000000000000027 t pause::INTERRUPT


Disassembly of section .text:

00000000000000b0 <_start>:
      b0:      	ldr	x0, [sp]
      b4:      	add	x1, sp, #0x8
      b8:      	b	 <pause::main>

00000000000000bc <pause::main>:
      bc:      	stp	x29, x30, [sp, #-0x10]!
      c0:      	mov	x29, sp
<L0>:
      c4:      	cmp	x0, #0x2
      c8:      	b.lo	 <L1>
      cc:      	add	x8, x1, x0, lsl #3
      d0:      	mov	w9, #0xdfff             // =57343
      d4:      	sub	x0, x0, #0x1
      d8:      	movk	w9, #0xff, lsl #16
      dc:      	ldur	x8, [x8, #-0x8]
      e0:      	ldr	w8, [x8]
      e4:      	and	w8, w8, w9
      e8:      	mov	w9, #0x562d             // =22061
      ec:      	cmp	w8, w9
      f0:      	b.ne	 <L0>
      f4:      	nop
      f8:      	adr	x0,  <pause::VERSION>
      fc:      	bl	 <pause::message::write_if_ready>
     100:      	mov	x9, xzr
     104:      	b	 <L4>
<L1>:
     108:      	nop
     10c:      	adr	x8,  <pause::handle>
     110:      	mov	w9, #0x1                // =1
     114:      	stp	x8, x9, [x1]
     118:      	mov	w0, #0xf                // =15
     11c:      	mov	w8, #0x86               // =134
     120:      	stp	xzr, xzr, [x1, #0x10]
     124:      	mov	x2, xzr
     128:      	mov	w3, #0x8                // =8
     12c:      	svc	#0
     130:      	cbz	w0,  <L2>
     134:      	mov	w9, #0x2                // =2
     138:      	b	 <L4>
<L2>:
     13c:      	mov	w0, #0x2                // =2
     140:      	mov	w8, #0x86               // =134
     144:      	mov	x2, xzr
     148:      	mov	w3, #0x8                // =8
     14c:      	svc	#0
     150:      	cbz	w0,  <L3>
     154:      	mov	w9, #0x1                // =1
     158:      	b	 <L4>
<L3>:
     15c:      	mov	w0, #0x11               // =17
     160:      	mov	w8, #0x86               // =134
     164:      	mov	x2, xzr
     168:      	mov	w3, #0x8                // =8
     16c:      	svc	#0
     170:      	cbz	w0,  <L5>
     174:      	mov	w9, #0x3                // =3
<L4>:
     178:      	mov	x0, x9
     17c:      	mov	w8, #0x5d               // =93
     180:      	svc	#0
     184:      	b	 <L4>
<L5>:
     188:      	mov	w0, #0x2                // =2
     18c:      	add	x1, x1, #0x18
     190:      	mov	w8, #0x87               // =135
     194:      	mov	x2, xzr
     198:      	mov	w3, #0x8                // =8
     19c:      	svc	#0
     1a0:      	mov	w0, #0x11               // =17
     1a4:      	bl	 <pause::handle>
     1a8:      	mov	w8, #0xac               // =172
     1ac:      	svc	#0
     1b0:      	cmp	w0, #0x1
     1b4:      	b.eq	 <L6>
     1b8:      	nop
     1bc:      	adr	x0,  <pause::WARNING>
     1c0:      	bl	 <pause::message::write_if_ready>
<L6>:
     1c4:      	mov	x1, xzr
     1c8:      	mov	x2, xzr
     1cc:      	mov	x3, xzr
<L7>:
     1d0:      	mov	x0, xzr
     1d4:      	mov	w8, #0x49               // =73
     1d8:      	svc	#0
     1dc:      	b	 <L7>

00000000000001e0 <pause::handle>:
     1e0:      	stp	x29, x30, [sp, #-0x10]!
     1e4:      	mov	x29, sp
     1e8:      	cmp	w0, #0x2
     1ec:      	b.eq	 <L1>
     1f0:      	cmp	w0, #0x11
     1f4:      	b.ne	 <L2>
<L0>:
     1f8:      	mov	x0, #-0x1               // =-1
     1fc:      	mov	w8, #0x104              // =260
     200:      	mov	x1, xzr
     204:      	mov	w2, #0x1                // =1
     208:      	mov	x3, xzr
     20c:      	svc	#0
     210:      	cmp	w0, #0x0
     214:      	b.gt	 <L0>
     218:      	ldp	x29, x30, [sp], #0x10
     21c:      	ret
<L1>:
     220:      	nop
     224:      	adr	x0,  <pause::INTERRUPT>
     228:      	b	 <L3>
<L2>:
     22c:      	nop
     230:      	adr	x0,  <pause::TERMINATED>
<L3>:
     234:      	bl	 <pause::message::write_if_ready>
<L4>:
     238:      	mov	x0, xzr
     23c:      	mov	w8, #0x5d               // =93
     240:      	svc	#0
     244:      	b	 <L4>

0000000000000248 <pause::message::write_if_ready>:
     248:      	sub	sp, sp, #0x20
     24c:      	ldrb	w8, [x0]
     250:      	mov	w10, #0x4               // =4
     254:      	mov	x9, x0
     258:      	stp	xzr, xzr, [sp, #0x10]
     25c:      	add	x0, sp, #0x8
     260:      	add	x2, sp, #0x10
     264:      	stp	w8, w10, [sp, #0x8]
     268:      	mov	w8, #0x49               // =73
     26c:      	mov	w1, #0x1                // =1
     270:      	mov	x3, xzr
     274:      	svc	#0
     278:      	ldrh	w8, [sp, #0xe]
     27c:      	cmp	w8, #0x4
     280:      	b.ne	 <L0>
     284:      	ldr	w0, [sp, #0x8]
     288:      	ldrb	w2, [x9, #0x1]
     28c:      	add	x1, x9, #0x2
     290:      	mov	w8, #0x40               // =64
     294:      	svc	#0
<L0>:
     298:      	add	sp, sp, #0x20
     29c:      	ret
     2a0: 02 26 53 68  	.word	0x68532602
     2a4: 75 74 74 69  	.word	0x69747475
     2a8: 6e 67 20 64  	.word	0x6420676e
     2ac: 6f 77 6e 2c  	.word	0x2c6e776f
     2b0: 20 67 6f 74  	.word	0x746f6720
     2b4: 20 73 69 67  	.word	0x67697320
     2b8: 6e 61 6c 3a  	.word	0x3a6c616e
     2bc: 20 54 65 72  	.word	0x72655420
     2c0: 6d 69 6e 61  	.word	0x616e696d
     2c4: 74 65 64 0a  	.word	0x0a646574
     2c8: 01 0c 70 61  	.word	0x61700c01
     2cc: 75 73 65 20  	.word	0x20657375
     2d0: 30 2e 31 2e  	.word	0x2e312e30
     2d4: 30 0a	.short	0x0a30
     2d6: 02 2b 57 61  	.word	0x61572b02
     2da: 72 6e 69 6e  	.word	0x6e696e72
     2de: 67 3a 20 70  	.word	0x70203a67
     2e2: 61 75 73 65  	.word	0x65737561
     2e6: 20 73 68 6f  	.word	0x6f687320
     2ea: 75 6c 64 20  	.word	0x20646c75
     2ee: 62 65 20 74  	.word	0x74206562
     2f2: 68 65 20 66  	.word	0x66206568
     2f6: 69 72 73 74  	.word	0x74737269
     2fa: 20 70 72 6f  	.word	0x6f727020
     2fe: 63 65 73 73  	.word	0x73736563
     302: 0a   	.byte	0x0a
     303: 02 25 53 68  	.word	0x68532502
     307: 75 74 74 69  	.word	0x69747475
     30b: 6e 67 20 64  	.word	0x6420676e
     30f: 6f 77 6e 2c  	.word	0x2c6e776f
     313: 20 67 6f 74  	.word	0x746f6720
     317: 20 73 69 67  	.word	0x67697320
     31b: 6e 61 6c 3a  	.word	0x3a6c616e
     31f: 20 49 6e 74  	.word	0x746e4920
     323: 65 72 72 75  	.word	0x75727265
     327: 70 74	.short	0x7470
     329: 0a   	.byte	0x0a
