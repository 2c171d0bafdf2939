ELF Header:
  Magic:   7f 45 4c 46 02 02 01 00 00 00 00 00 00 00 00 00
  Class:                             ELF64
  Data:                              2's complement, big endian
  Version:                           1 (current)
  OS/ABI:                            UNIX - System V
  ABI Version:                       0
  Type:                              DYN (Shared object file)
  Machine:                           IBM S/390
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
  LOAD           0x000000 0x0000000000000000 0x0000000000000000 0x0002f7 0x0002f7 R E 0x1000
  GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x0

 Section to Segment mapping:
  Segment Sections...
   00
   01
00000000000000b0 0000000000000014 T _start
00000000000000c4 00000000000000f2 t pause::main
00000000000001b6 000000000000005c t pause::handle
0000000000000212 000000000000005a t pause::message::write_if_ready
000000000000026c 0000000000000028 t pause::TERMINATED
0000000000000294 000000000000000e t pause::VERSION
00000000000002a2 000000000000002d t pause::WARNING
00000000000002d0 0000000000000027 t pause::INTERRUPT


Disassembly of section .text:

00000000000000b0 <_start>:
      b0:      	lg	%r2, 0(%r15)
      b6:      	la	%r3, 8(%r15)
      ba:      	aghi	%r15, -160
      be:      	jg	0xc4

00000000000000c4 <pause::main>:
      c4:      	stmg	%r14, %r15, 112(%r15)
      ca:      	aghi	%r15, -160
      ce:      	sllg	%r1, %r2, 3
      d4:      	la	%r0, 1(%r2)
      d8:      	aghi	%r0, -1
      dc:      	clgijl	%r0, 2, 0x114
      e2:      	lg	%r2, -8(%r1,%r3)
      e8:      	iilf	%r4, 4292869888
      ee:      	n	%r4, 0(%r2)
      f2:      	aghi	%r1, -8
      f6:      	cfi	%r4, 760610816
      fc:      	jlh	0xd8
     100:      	larl	%r2, 0x294
     106:      	brasl	%r14, 0x212
     10c:      	lghi	%r0, 0
     110:      	j	0x16e
     114:      	larl	%r0, 0x1b6
     11a:      	stg	%r0, 0(%r3)
     120:      	mvghi	8(%r3), 1
     126:      	mvghi	16(%r3), 0
     12c:      	mvghi	24(%r3), 0
     132:      	lghi	%r1, 174
     136:      	lghi	%r2, 15
     13a:      	lghi	%r4, 0
     13e:      	lghi	%r5, 8
     142:      	svc	0
     144:      	lghi	%r0, 2
     148:      	cijlh	%r2, 0, 0x16e
     14e:      	lghi	%r2, 2
     152:      	svc	0
     154:      	lghi	%r0, 1
     158:      	cijlh	%r2, 0, 0x16e
     15e:      	lghi	%r2, 17
     162:      	svc	0
     164:      	lghi	%r0, 3
     168:      	cije	%r2, 0, 0x17c
     16e:      	lghi	%r1, 1
     172:      	lgr	%r2, %r0
     176:      	svc	0
     178:      	j	0x172
     17c:      	la	%r3, 24(%r3)
     180:      	lghi	%r1, 175
     184:      	lghi	%r2, 2
     188:      	svc	0
     18a:      	lghi	%r2, 17
     18e:      	brasl	%r14, 0x1b6
     194:      	lghi	%r1, 20
     198:      	svc	0
     19a:      	cije	%r2, 1, 0x1ac
     1a0:      	larl	%r2, 0x2a2
     1a6:      	brasl	%r14, 0x212
     1ac:      	lghi	%r1, 29
     1b0:      	svc	0
     1b2:      	j	0x1b0

00000000000001b6 <pause::handle>:
     1b6:      	stmg	%r14, %r15, 112(%r15)
     1bc:      	aghi	%r15, -160
     1c0:      	cije	%r2, 2, 0x1f8
     1c6:      	chi	%r2, 17
     1ca:      	larl	%r2, 0x26c
     1d0:      	jlh	0x1fe
     1d4:      	lghi	%r1, 114
     1d8:      	lghi	%r3, 0
     1dc:      	lghi	%r4, 1
     1e0:      	lghi	%r5, 0
     1e4:      	lghi	%r2, -1
     1e8:      	svc	0
     1ea:      	cijh	%r2, 0, 0x1e4
     1f0:      	lmg	%r14, %r15, 272(%r15)
     1f6:      	br	%r14
     1f8:      	larl	%r2, 0x2d0
     1fe:      	brasl	%r14, 0x212
     204:      	lghi	%r1, 1
     208:      	lghi	%r2, 0
     20c:      	svc	0
     20e:      	j	0x208

0000000000000212 <pause::message::write_if_ready>:
     212:      	stmg	%r14, %r15, 112(%r15)
     218:      	aghi	%r15, -168
     21c:      	lgr	%r5, %r2
     220:      	llc	%r0, 0(%r2)
     226:      	st	%r0, 160(%r15)
     22a:      	llilh	%r0, 4
     22e:      	st	%r0, 164(%r15)
     232:      	la	%r2, 160(%r15)
     236:      	lghi	%r1, 168
     23a:      	lghi	%r3, 1
     23e:      	lghi	%r4, 0
     242:      	svc	0
     244:      	clhhsi	166(%r15), 4
     24a:      	jlh	0x264
     24e:      	llgf	%r2, 160(%r15)
     254:      	llgc	%r4, 1(%r5)
     25a:      	la	%r3, 2(%r5)
     25e:      	lghi	%r1, 4
     262:      	svc	0
     264:      	lmg	%r14, %r15, 280(%r15)
     26a:      	br	%r14

000000000000026c <pause::TERMINATED>:
     26c: 02 26 53 68 75 74 74 69         .&Shutti
     274: 6e 67 20 64 6f 77 6e 2c         ng down,
     27c: 20 67 6f 74 20 73 69 67          got sig
     284: 6e 61 6c 3a 20 54 65 72         nal: Ter
     28c: 6d 69 6e 61 74 65 64 0a         minated.

0000000000000294 <pause::VERSION>:
     294: 01 0c 70 61 75 73 65 20         ..pause
     29c: 30 2e 31 2e 30 0a               0.1.0.

00000000000002a2 <pause::WARNING>:
     2a2: 02 2b 57 61 72 6e 69 6e         .+Warnin
     2aa: 67 3a 20 70 61 75 73 65         g: pause
     2b2: 20 73 68 6f 75 6c 64 20          should
     2ba: 62 65 20 74 68 65 20 66         be the f
     2c2: 69 72 73 74 20 70 72 6f         irst pro
     2ca: 63 65 73 73 0a 07               cess..

00000000000002d0 <pause::INTERRUPT>:
     2d0: 02 25 53 68 75 74 74 69         .%Shutti
     2d8: 6e 67 20 64 6f 77 6e 2c         ng down,
     2e0: 20 67 6f 74 20 73 69 67          got sig
     2e8: 6e 61 6c 3a 20 49 6e 74         nal: Int
     2f0: 65 72 72 75 70 74 0a            errupt.
