ELF Header:
  Magic:   7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00
  Class:                             ELF64
  Data:                              2's complement, little endian
  Version:                           1 (current)
  OS/ABI:                            UNIX - System V
  ABI Version:                       0
  Type:                              DYN (Shared object file)
  Machine:                           LoongArch
  Version:                           0x1
  Entry point address:               0xb0
  Start of program headers:          64 (bytes into file)
  Start of section headers:          0 (bytes into file)
  Flags:                             0x43, DOUBLE-FLOAT, OBJ-v1
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
  LOAD           0x000000 0x0000000000000000 0x0000000000000000 0x00033a 0x00033a R E 0x10000
  GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x0

 Section to Segment mapping:
  Segment Sections...
   00
   01
00000000000000b0 000000000000000c T _start
00000000000000bc 0000000000000000 t .L0
00000000000000bc 0000000000000130 t pause::main
0000000000000110 0000000000000000 t .L0
0000000000000180 0000000000000000 t .L0
00000000000001d0 0000000000000000 t .L0
00000000000001ec 0000000000000000 t .L0
00000000000001ec 0000000000000000 t .L0
00000000000001ec 0000000000000068 t pause::handle
000000000000023c 0000000000000000 t .L0
0000000000000240 0000000000000000 t .L0
0000000000000254 0000000000000000 t .L0
0000000000000254 0000000000000000 t .L0
0000000000000254 000000000000005c t pause::message::write_if_ready
00000000000002b0 0000000000000028 t pause::TERMINATED
00000000000002d8 000000000000000e t pause::VERSION
00000000000002e6 000000000000002d t pause::WARNING
0000000000000313 0000000000000027 t pause::INTERRUPT


Disassembly of section .text:

00000000000000b0 <_start>:
      b0:      	ld.d	$a0, $sp, 0
      b4:      	addi.d	$a1, $sp, 8
      b8:      	b	4 <pause::main>

00000000000000bc <pause::main>:
      bc:      	addi.d	$sp, $sp, -16
      c0:      	st.d	$ra, $sp, 8
      c4:      	slli.d	$a2, $a0, 3
      c8:      	addi.d	$a2, $a2, -8
      cc:      	addi.d	$a0, $a0, 1
      d0:      	addi.d	$a0, $a0, -1
      d4:      	ori	$a4, $zero, 2
      d8:      	bltu	$a0, $a4, 56 <.L0 >
      dc:      	ldx.d	$a3, $a1, $a2
      e0:      	ld.wu	$a3, $a3, 0
      e4:      	addi.d	$a2, $a2, -8
      e8:      	lu12i.w	$a4, 4093
      ec:      	ori	$a4, $a4, 4095
      f0:      	and	$a3, $a3, $a4
      f4:      	lu12i.w	$a4, 5
      f8:      	ori	$a4, $a4, 1581
      fc:      	bne	$a3, $a4, -44 <pause::main+0x14>
     100:      	pcaddi	$a0, 118
     104:      	bl	336 <pause::message::write_if_ready>
     108:      	move	$a4, $zero
     10c:      	b	116 <.L0 >

0000000000000110 <.L0 >:
     110:      	pcaddi	$a0, 55
     114:      	st.d	$a0, $a1, 0
     118:      	ori	$a0, $zero, 1
     11c:      	st.d	$a0, $a1, 8
     120:      	st.d	$zero, $a1, 16
     124:      	ori	$a7, $zero, 134
     128:      	ori	$a0, $zero, 15
     12c:      	ori	$a3, $zero, 8
     130:      	move	$a2, $zero
     134:      	syscall	0
     138:      	slli.d	$a0, $a0, 32
     13c:      	bnez	$a0, 68 <.L0 >
     140:      	ori	$a7, $zero, 134
     144:      	ori	$a0, $zero, 2
     148:      	ori	$a3, $zero, 8
     14c:      	move	$a2, $zero
     150:      	syscall	0
     154:      	slli.d	$a0, $a0, 32
     158:      	ori	$a4, $zero, 1
     15c:      	bnez	$a0, 36 <.L0 >
     160:      	ori	$a7, $zero, 134
     164:      	ori	$a0, $zero, 17
     168:      	ori	$a3, $zero, 8
     16c:      	move	$a2, $zero
     170:      	syscall	0
     174:      	slli.d	$a0, $a0, 32
     178:      	ori	$a4, $zero, 3
     17c:      	beqz	$a0, 20 <.L0 +0x10>

0000000000000180 <.L0 >:
     180:      	ori	$a7, $zero, 93
     184:      	move	$a0, $a4
     188:      	syscall	0
     18c:      	b	-8 <.L0 +0x4>
     190:      	addi.d	$a1, $a1, 16
     194:      	ori	$a7, $zero, 135
     198:      	ori	$a0, $zero, 2
     19c:      	ori	$a3, $zero, 8
     1a0:      	move	$a2, $zero
     1a4:      	syscall	0
     1a8:      	ori	$a0, $zero, 17
     1ac:      	bl	64 <pause::handle>
     1b0:      	ori	$a7, $zero, 172
     1b4:      	syscall	0
     1b8:      	bstrpick.d	$a0, $a0, 31, 0
     1bc:      	ori	$a1, $zero, 1
     1c0:      	beq	$a0, $a1, 16 <.L0 >
     1c4:      	pcalau12i	$a0, 0
     1c8:      	addi.d	$a0, $a0, 742
     1cc:      	bl	136 <pause::message::write_if_ready>

00000000000001d0 <.L0 >:
     1d0:      	ori	$a7, $zero, 73
     1d4:      	move	$a1, $zero
     1d8:      	move	$a2, $zero
     1dc:      	move	$a3, $zero
     1e0:      	move	$a0, $zero
     1e4:      	syscall	0
     1e8:      	b	-8 <.L0 +0x10>

00000000000001ec <pause::handle>:
     1ec:      	addi.d	$sp, $sp, -16
     1f0:      	st.d	$ra, $sp, 8
     1f4:      	ori	$a1, $zero, 2
     1f8:      	beq	$a0, $a1, 56 <pause::handle+0x44>
     1fc:      	ori	$a1, $zero, 17
     200:      	bne	$a0, $a1, 60 <.L0 >
     204:      	ori	$a7, $zero, 260
     208:      	ori	$a2, $zero, 1
     20c:      	move	$a1, $zero
     210:      	move	$a3, $zero
     214:      	addi.w	$a0, $zero, -1
     218:      	syscall	0
     21c:      	addi.w	$a0, $a0, 0
     220:      	bgtz	$a0, -12 <pause::handle+0x28>
     224:      	ld.d	$ra, $sp, 8
     228:      	addi.d	$sp, $sp, 16
     22c:      	ret
     230:      	pcalau12i	$a0, 0
     234:      	addi.d	$a0, $a0, 787
     238:      	b	8 <.L0 >

000000000000023c <.L0 >:
     23c:      	pcaddi	$a0, 29

0000000000000240 <.L0 >:
     240:      	bl	20 <pause::message::write_if_ready>
     244:      	ori	$a7, $zero, 93
     248:      	move	$a0, $zero
     24c:      	syscall	0
     250:      	b	-8 <.L0 +0x8>

0000000000000254 <pause::message::write_if_ready>:
     254:      	addi.d	$sp, $sp, -32
     258:      	move	$a4, $a0
     25c:      	ld.bu	$a0, $a0, 0
     260:      	st.w	$a0, $sp, 8
     264:      	ori	$a5, $zero, 4
     268:      	st.w	$a5, $sp, 12
     26c:      	st.d	$zero, $sp, 24
     270:      	st.d	$zero, $sp, 16
     274:      	ori	$a7, $zero, 73
     278:      	addi.d	$a0, $sp, 8
     27c:      	ori	$a1, $zero, 1
     280:      	addi.d	$a2, $sp, 16
     284:      	move	$a3, $zero
     288:      	syscall	0
     28c:      	ld.hu	$a0, $sp, 14
     290:      	bne	$a0, $a5, 24 <pause::message::write_if_ready+0x54>
     294:      	ld.wu	$a0, $sp, 8
     298:      	ld.bu	$a2, $a4, 1
     29c:      	addi.d	$a1, $a4, 2
     2a0:      	ori	$a7, $zero, 64
     2a4:      	syscall	0
     2a8:      	addi.d	$sp, $sp, 32
     2ac:      	ret

00000000000002b0 <pause::TERMINATED>:
     2b0: 02 26 53 68 75 74 74 69         .&Shutti
     2b8: 6e 67 20 64 6f 77 6e 2c         ng down,
     2c0: 20 67 6f 74 20 73 69 67          got sig
     2c8: 6e 61 6c 3a 20 54 65 72         nal: Ter
     2d0: 6d 69 6e 61 74 65 64 0a         minated.

00000000000002d8 <pause::VERSION>:
     2d8: 01 0c 70 61 75 73 65 20         ..pause
     2e0: 30 2e 31 2e 30 0a               0.1.0.

00000000000002e6 <pause::WARNING>:
     2e6: 02 2b 57 61 72 6e 69 6e         .+Warnin
     2ee: 67 3a 20 70 61 75 73 65         g: pause
     2f6: 20 73 68 6f 75 6c 64 20          should
     2fe: 62 65 20 74 68 65 20 66         be the f
     306: 69 72 73 74 20 70 72 6f         irst pro
     30e: 63 65 73 73 0a                  cess.

0000000000000313 <pause::INTERRUPT>:
     313: 02 25 53 68 75 74 74 69         .%Shutti
     31b: 6e 67 20 64 6f 77 6e 2c         ng down,
     323: 20 67 6f 74 20 73 69 67          got sig
     32b: 6e 61 6c 3a 20 49 6e 74         nal: Int
     333: 65 72 72 75 70 74 0a            errupt.
