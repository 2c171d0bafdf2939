ELF Header:
  Magic:   7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00
  Class:                             ELF64
  Data:                              2's complement, little endian
  Version:                           1 (current)
  OS/ABI:                            UNIX - System V
  ABI Version:                       0
  Type:                              DYN (Shared object file)
  Machine:                           PowerPC64
  Version:                           0x1
  Entry point address:               0xb0
  Start of program headers:          64 (bytes into file)
  Start of section headers:          0 (bytes into file)
  Flags:                             0x2
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
  LOAD           0x000000 0x0000000000000000 0x0000000000000000 0x0003ea 0x0003ea R E 0x10000
  GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x0

 Section to Segment mapping:
  Segment Sections...
   00
   01
00000000000000b0 0000000000000018 T _start
00000000000000c8 0000000000000190 t pause::main
0000000000000258 0000000000000098 t pause::handle
00000000000002f0 0000000000000070 t pause::message::write_if_ready
0000000000000360 0000000000000028 t pause::TERMINATED
0000000000000388 000000000000000e t pause::VERSION
0000000000000396 000000000000002d t pause::WARNING
00000000000003c3 0000000000000027 t pause::INTERRUPT
00000000000083f0 0000000000000000 b .TOC.


Disassembly of section .text:

00000000000000b0 <_start>:
      b0:      	addis 2, 12, 1
      b4:      	addi 2, 2, -31936
      b8:      	ld 3, 0(1)
      bc:      	addi 4, 1, 8
      c0:      	stdu 1, -32(1)
      c4:      	b 0xd0 <pause::main+0x8>

00000000000000c8 <pause::main>:
      c8:      	addis 2, 12, 1
      cc:      	addi 2, 2, -31960
      d0:      	mflr 0
      d4:      	std 29, -24(1)
      d8:      	std 30, -16(1)
      dc:      	stdu 1, -64(1)
      e0:      	mr	30, 4
      e4:      	sldi 4, 3, 3
      e8:      	std 0, 80(1)
      ec:      	addi 4, 4, -8
<L0>:
      f0:      	cmpldi	3, 2
      f4:      	bt	0, 0x130 <L1>
      f8:      	ldx 5, 30, 4
      fc:      	lis 6, 255
     100:      	addi 4, 4, -8
     104:      	addi 3, 3, -1
     108:      	ori 6, 6, 57343
     10c:      	lwz 5, 0(5)
     110:      	and 5, 5, 6
     114:      	cmplwi	5, 22061
     118:      	bf	2, 0xf0 <L0>
     11c:      	addis 3, 2, -1
     120:      	addi 3, 3, 32664
     124:      	bl 0x2f0 <pause::message::write_if_ready>
     128:      	li 29, 0
     12c:      	b 0x1d4 <L5>
<L1>:
     130:      	addis 3, 2, -1
     134:      	xxlxor 0, 0, 0
     138:      	mr	4, 30
     13c:      	li 0, 173
     140:      	li 5, 0
     144:      	li 6, 8
     148:      	li 29, 2
     14c:      	addi 3, 3, 32360
     150:      	std 3, 0(30)
     154:      	li 3, 1
     158:      	std 3, 8(30)
     15c:      	li 3, 16
     160:      	stxvd2x 0, 30, 3
     164:      	li 3, 15
     168:      	sc
     16c:      	bf	3, 0x174 <L2>
     170:      	neg 3, 3
<L2>:
     174:      	cmplwi	3, 0
     178:      	bf	2, 0x1d4 <L5>
     17c:      	mr	4, 30
     180:      	li 0, 173
     184:      	li 3, 2
     188:      	li 5, 0
     18c:      	li 6, 8
     190:      	sc
     194:      	bf	3, 0x19c <L3>
     198:      	neg 3, 3
<L3>:
     19c:      	cmplwi	3, 0
     1a0:      	li 29, 1
     1a4:      	bf	2, 0x1d4 <L5>
     1a8:      	mr	4, 30
     1ac:      	li 0, 173
     1b0:      	li 3, 17
     1b4:      	li 5, 0
     1b8:      	li 6, 8
     1bc:      	sc
     1c0:      	bf	3, 0x1c8 <L4>
     1c4:      	neg 3, 3
<L4>:
     1c8:      	cmplwi	3, 0
     1cc:      	li 29, 3
     1d0:      	bt	2, 0x1ec <L7>
<L5>:
     1d4:      	li 0, 1
     1d8:      	mr	3, 29
     1dc:      	sc
     1e0:      	bf	3, 0x1e8 <L6>
     1e4:      	neg 3, 3
<L6>:
     1e8:      	b 0x1d4 <L5>
<L7>:
     1ec:      	addi 4, 30, 24
     1f0:      	li 0, 174
     1f4:      	li 3, 2
     1f8:      	li 5, 0
     1fc:      	li 6, 8
     200:      	sc
     204:      	bf	3, 0x20c <L8>
     208:      	neg 3, 3
<L8>:
     20c:      	li 3, 17
     210:      	bl 0x260 <pause::handle+0x8>
     214:      	li 0, 20
     218:      	sc
     21c:      	bf	3, 0x224 <L9>
     220:      	neg 3, 3
<L9>:
     224:      	cmplwi	3, 1
     228:      	bt	2, 0x238 <L10>
     22c:      	addis 3, 2, -1
     230:      	addi 3, 3, 32678
     234:      	bl 0x2f0 <pause::message::write_if_ready>
<L10>:
     238:      	li 0, 29
     23c:      	sc
     240:      	bf	3, 0x248 <L11>
     244:      	neg 3, 3
<L11>:
     248:      	b 0x238 <L10>
		...

0000000000000258 <pause::handle>:
     258:      	addis 2, 12, 1
     25c:      	addi 2, 2, -32360
     260:      	mflr 0
     264:      	stdu 1, -32(1)
     268:      	std 0, 48(1)
     26c:      	cmplwi	3, 2
     270:      	bt	2, 0x2b4 <L2>
     274:      	cmplwi	3, 17
     278:      	bf	2, 0x2c0 <L3>
<L0>:
     27c:      	li 0, 114
     280:      	li 3, -1
     284:      	li 4, 0
     288:      	li 5, 1
     28c:      	li 6, 0
     290:      	sc
     294:      	bf	3, 0x29c <L1>
     298:      	neg 3, 3
<L1>:
     29c:      	cmpwi	3, 0
     2a0:      	bt	1, 0x27c <L0>
     2a4:      	addi 1, 1, 32
     2a8:      	ld 0, 16(1)
     2ac:      	mtlr 0
     2b0:      	blr
<L2>:
     2b4:      	addis 3, 2, -1
     2b8:      	addi 3, 3, 32723
     2bc:      	b 0x2c8 <L4>
<L3>:
     2c0:      	addis 3, 2, -1
     2c4:      	addi 3, 3, 32624
<L4>:
     2c8:      	bl 0x2f0 <pause::message::write_if_ready>
<L5>:
     2cc:      	li 0, 1
     2d0:      	li 3, 0
     2d4:      	sc
     2d8:      	bf	3, 0x2e0 <L6>
     2dc:      	neg 3, 3
<L6>:
     2e0:      	b 0x2cc <L5>
		...

00000000000002f0 <pause::message::write_if_ready>:
     2f0:      	std 30, -16(1)
     2f4:      	mr	30, 3
     2f8:      	lbz 3, 0(3)
     2fc:      	li 0, 167
     300:      	li 4, 1
     304:      	li 5, 0
     308:      	stw 3, -24(1)
     30c:      	li 3, 4
     310:      	stw 3, -20(1)
     314:      	addi 3, 1, -24
     318:      	sc
     31c:      	bf	3, 0x324 <L0>
     320:      	neg 3, 3
<L0>:
     324:      	lhz 3, -18(1)
     328:      	cmplwi	3, 4
     32c:      	bf	2, 0x34c <L1>
     330:      	lwz 3, -24(1)
     334:      	addi 4, 30, 2
     338:      	lbz 5, 1(30)
     33c:      	li 0, 4
     340:      	sc
     344:      	bf	3, 0x34c <L1>
     348:      	neg 3, 3
<L1>:
     34c:      	ld 30, -16(1)
     350:      	blr
		...

0000000000000360 <pause::TERMINATED>:
     360: 02 26 53 68 75 74 74 69         .&Shutti
     368: 6e 67 20 64 6f 77 6e 2c         ng down,
     370: 20 67 6f 74 20 73 69 67          got sig
     378: 6e 61 6c 3a 20 54 65 72         nal: Ter
     380: 6d 69 6e 61 74 65 64 0a         minated.

0000000000000388 <pause::VERSION>:
     388: 01 0c 70 61 75 73 65 20         ..pause
     390: 30 2e 31 2e 30 0a               0.1.0.

0000000000000396 <pause::WARNING>:
     396: 02 2b 57 61 72 6e 69 6e         .+Warnin
     39e: 67 3a 20 70 61 75 73 65         g: pause
     3a6: 20 73 68 6f 75 6c 64 20          should
     3ae: 62 65 20 74 68 65 20 66         be the f
     3b6: 69 72 73 74 20 70 72 6f         irst pro
     3be: 63 65 73 73 0a                  cess.

00000000000003c3 <pause::INTERRUPT>:
     3c3: 02 25 53 68 75 74 74 69         .%Shutti
     3cb: 6e 67 20 64 6f 77 6e 2c         ng down,
     3d3: 20 67 6f 74 20 73 69 67          got sig
     3db: 6e 61 6c 3a 20 49 6e 74         nal: Int
     3e3: 65 72 72 75 70 74 0a            errupt.
