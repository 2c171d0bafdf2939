ELF Header:
  Magic:   7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00
  Class:                             ELF64
  Data:                              2's complement, little endian
  Version:                           1 (current)
  OS/ABI:                            UNIX - System V
  ABI Version:                       0
  Type:                              DYN (Shared object file)
  Machine:                           RISC-V
  Version:                           0x1
  Entry point address:               0xb0
  Start of program headers:          64 (bytes into file)
  Start of section headers:          0 (bytes into file)
  Flags:                             0x5, RVC, double-float ABI
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
  LOAD           0x000000 0x0000000000000000 0x0000000000000000 0x0002d2 0x0002d2 R E 0x1000
  GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x0

 Section to Segment mapping:
  Segment Sections...
   00
   01
00000000000000b0 000000000000000c T _start
00000000000000bc 00000000000000f8 t pause::main
00000000000000fc 0000000000000000 t .Lpcrel_hi2
0000000000000110 0000000000000000 t .Lpcrel_hi0
0000000000000192 0000000000000000 t .Lpcrel_hi1
00000000000001b4 0000000000000052 t pause::handle
00000000000001e0 0000000000000000 t .Lpcrel_hi4
00000000000001ea 0000000000000000 t .Lpcrel_hi3
0000000000000206 0000000000000042 t pause::message::write_if_ready
0000000000000248 0000000000000028 t pause::TERMINATED
0000000000000270 000000000000000e t pause::VERSION
000000000000027e 000000000000002d t pause::WARNING
00000000000002ab 0000000000000027 t pause::INTERRUPT


Disassembly of section .text:

00000000000000b0 <_start>:
      b0:      	ld	a0, 0x0(sp)
      b2:      	addi	a1, sp, 0x8
      b4:      	auipc	t1, 0x0
      b8:      	jr	0x8(t1) <pause::main>

00000000000000bc <pause::main>:
      bc:      	addi	sp, sp, -0x10
      be:      	sd	ra, 0x8(sp)
      c0:      	slli	a2, a0, 0x3
      c4:      	add	a2, a2, a1
      c6:      	addi	a2, a2, -0x8
      c8:      	addi	a0, a0, 0x1
      ca:      	addi	a0, a0, -0x1
      cc:      	li	a4, 0x2
      ce:      	bltu	a0, a4, 0x110 <.Lpcrel_hi0>
      d2:      	ld	a3, 0x0(a2)
      d4:      	lbu	a4, 0x1(a3)
      d8:      	lbu	a5, 0x0(a3)
      dc:      	addi	a2, a2, -0x8
      de:      	lbu	a3, 0x2(a3)
      e2:      	slli	a4, a4, 0x8
      e4:      	or	a4, a4, a5
      e6:      	lui	a5, 0xffe
      ea:      	slli	a3, a3, 0x10
      ec:      	or	a3, a3, a4
      ee:      	lui	a4, 0x5
      f0:      	addi	a5, a5, -0x1
      f2:      	and	a3, a3, a5
      f4:      	addi	a4, a4, 0x62d
      f8:      	bne	a3, a4, 0xca <pause::main+0xe>

00000000000000fc <.Lpcrel_hi2>:
      fc:      	auipc	a0, 0x0
     100:      	addi	a0, a0, 0x174
     104:      	auipc	ra, 0x0
     108:      	jalr	0x102(ra) <pause::message::write_if_ready>
     10c:      	li	a4, 0x0
     10e:      	j	0x15c <.Lpcrel_hi0+0x4c>

0000000000000110 <.Lpcrel_hi0>:
     110:      	auipc	a2, 0x0
     114:      	li	a5, 0x1
     116:      	li	a7, 0x86
     11a:      	li	a0, 0xf
     11c:      	li	a3, 0x8
     11e:      	addi	a2, a2, 0xa4
     122:      	sd	a2, 0x0(a1)
     124:      	sd	a5, 0x8(a1)
     126:      	sd	zero, 0x10(a1)
     12a:      	li	a2, 0x0
     12c:      	ecall
     130:      	sext.w	a0, a0
     132:      	bnez	a0, 0x15c <.Lpcrel_hi0+0x4c>
     134:      	li	a7, 0x86
     138:      	li	a0, 0x2
     13a:      	li	a3, 0x8
     13c:      	li	a2, 0x0
     13e:      	ecall
     142:      	sext.w	a0, a0
     144:      	li	a4, 0x1
     146:      	bnez	a0, 0x15c <.Lpcrel_hi0+0x4c>
     148:      	li	a7, 0x86
     14c:      	li	a0, 0x11
     14e:      	li	a3, 0x8
     150:      	li	a2, 0x0
     152:      	ecall
     156:      	sext.w	a0, a0
     158:      	beqz	a0, 0x168 <.Lpcrel_hi0+0x58>
     15a:      	li	a4, 0x3
     15c:      	li	a7, 0x5d
     160:      	mv	a0, a4
     162:      	ecall
     166:      	j	0x160 <.Lpcrel_hi0+0x50>
     168:      	addi	a1, a1, 0x10
     16a:      	li	a7, 0x87
     16e:      	li	a0, 0x2
     170:      	li	a3, 0x8
     172:      	li	a2, 0x0
     174:      	ecall
     178:      	li	a0, 0x11
     17a:      	auipc	ra, 0x0
     17e:      	jalr	0x3a(ra) <pause::handle>
     182:      	li	a7, 0xac
     186:      	ecall
     18a:      	sext.w	a0, a0
     18c:      	li	a1, 0x1
     18e:      	beq	a0, a1, 0x1a2 <.Lpcrel_hi1+0x10>

0000000000000192 <.Lpcrel_hi1>:
     192:      	auipc	a0, 0x0
     196:      	addi	a0, a0, 0xec
     19a:      	auipc	ra, 0x0
     19e:      	jalr	0x6c(ra) <pause::message::write_if_ready>
     1a2:      	li	a7, 0x49
     1a6:      	li	a1, 0x0
     1a8:      	li	a2, 0x0
     1aa:      	li	a3, 0x0
     1ac:      	li	a0, 0x0
     1ae:      	ecall
     1b2:      	j	0x1ac <.Lpcrel_hi1+0x1a>

00000000000001b4 <pause::handle>:
     1b4:      	addi	sp, sp, -0x10
     1b6:      	sd	ra, 0x8(sp)
     1b8:      	li	a1, 0x2
     1ba:      	beq	a0, a1, 0x1e0 <.Lpcrel_hi4>
     1be:      	li	a1, 0x11
     1c0:      	bne	a0, a1, 0x1ea <.Lpcrel_hi3>
     1c4:      	li	a7, 0x104
     1c8:      	li	a2, 0x1
     1ca:      	li	a1, 0x0
     1cc:      	li	a3, 0x0
     1ce:      	li	a0, -0x1
     1d0:      	ecall
     1d4:      	sext.w	a0, a0
     1d6:      	bgtz	a0, 0x1ce <pause::handle+0x1a>
     1da:      	ld	ra, 0x8(sp)
     1dc:      	addi	sp, sp, 0x10
     1de:      	ret

00000000000001e0 <.Lpcrel_hi4>:
     1e0:      	auipc	a0, 0x0
     1e4:      	addi	a0, a0, 0xcb
     1e8:      	j	0x1f2 <.Lpcrel_hi3+0x8>

00000000000001ea <.Lpcrel_hi3>:
     1ea:      	auipc	a0, 0x0
     1ee:      	addi	a0, a0, 0x5e
     1f2:      	auipc	ra, 0x0
     1f6:      	jalr	0x14(ra) <pause::message::write_if_ready>
     1fa:      	li	a7, 0x5d
     1fe:      	li	a0, 0x0
     200:      	ecall
     204:      	j	0x1fe <.Lpcrel_hi3+0x14>

0000000000000206 <pause::message::write_if_ready>:
     206:      	addi	sp, sp, -0x20
     208:      	mv	a4, a0
     20a:      	lbu	a2, 0x0(a0)
     20e:      	li	a5, 0x4
     210:      	sd	zero, 0x10(sp)
     212:      	sd	zero, 0x18(sp)
     214:      	li	a7, 0x49
     218:      	addi	a0, sp, 0x8
     21a:      	li	a1, 0x1
     21c:      	sw	a2, 0x8(sp)
     21e:      	sw	a5, 0xc(sp)
     220:      	addi	a2, sp, 0x10
     222:      	li	a3, 0x0
     224:      	ecall
     228:      	lhu	a0, 0xe(sp)
     22c:      	bne	a0, a5, 0x244 <pause::message::write_if_ready+0x3e>
     230:      	lwu	a0, 0x8(sp)
     234:      	lbu	a2, 0x1(a4)
     238:      	addi	a1, a4, 0x2
     23c:      	li	a7, 0x40
     240:      	ecall
     244:      	addi	sp, sp, 0x20
     246:      	ret
     248: 02 26 53 68  	.word	0x68532602
     24c: 75 74 74 69  	.word	0x69747475
     250: 6e 67 20 64  	.word	0x6420676e
     254: 6f 77 6e 2c  	.word	0x2c6e776f
     258: 20 67 6f 74  	.word	0x746f6720
     25c: 20 73 69 67  	.word	0x67697320
     260: 6e 61 6c 3a  	.word	0x3a6c616e
     264: 20 54 65 72  	.word	0x72655420
     268: 6d 69 6e 61  	.word	0x616e696d
     26c: 74 65 64 0a  	.word	0x0a646574
     270: 01 0c 70 61  	.word	0x61700c01
     274: 75 73 65 20  	.word	0x20657375
     278: 30 2e 31 2e  	.word	0x2e312e30
     27c: 30 0a	.short	0x0a30
     27e: 02 2b 57 61  	.word	0x61572b02
     282: 72 6e 69 6e  	.word	0x6e696e72
     286: 67 3a 20 70  	.word	0x70203a67
     28a: 61 75 73 65  	.word	0x65737561
     28e: 20 73 68 6f  	.word	0x6f687320
     292: 75 6c 64 20  	.word	0x20646c75
     296: 62 65 20 74  	.word	0x74206562
     29a: 68 65 20 66  	.word	0x66206568
     29e: 69 72 73 74  	.word	0x74737269
     2a2: 20 70 72 6f  	.word	0x6f727020
     2a6: 63 65 73 73  	.word	0x73736563
     2aa: 0a   	.byte	0x0a
     2ab: 02 25 53 68  	.word	0x68532502
     2af: 75 74 74 69  	.word	0x69747475
     2b3: 6e 67 20 64  	.word	0x6420676e
     2b7: 6f 77 6e 2c  	.word	0x2c6e776f
     2bb: 20 67 6f 74  	.word	0x746f6720
     2bf: 20 73 69 67  	.word	0x67697320
     2c3: 6e 61 6c 3a  	.word	0x3a6c616e
     2c7: 20 49 6e 74  	.word	0x746e4920
     2cb: 65 72 72 75  	.word	0x75727265
     2cf: 70 74	.short	0x7470
     2d1: 0a   	.byte	0x0a
