#include "textflag.h"

// What the bytes of JSON are told by: bits that the tables of the lower and of
// the upper half of a byte have in common. 1 to 32 are those that may stand
// outside of strings (white space , : + - . digits, the letters of true, false,
// null and of exponents), by their upper half; 64 is [ and ], 128 is { and }.
DATA lower<>+0(SB)/8, $0x04143C2424241406
DATA lower<>+8(SB)/8, $0x0012C312C2050504
GLOBL lower<>(SB), RODATA|NOPTR, $16

DATA upper<>+0(SB)/8, $0xA010400804020001
DATA upper<>+8(SB)/8, $0x0000000000000000
GLOBL upper<>(SB), RODATA|NOPTR, $16

DATA quote<>+0(SB)/8, $0x2222222222222222
GLOBL quote<>(SB), RODATA|NOPTR, $8

DATA slash<>+0(SB)/8, $0x5C5C5C5C5C5C5C5C
GLOBL slash<>(SB), RODATA|NOPTR, $8

DATA half<>+0(SB)/8, $0x0F0F0F0F0F0F0F0F
GLOBL half<>(SB), RODATA|NOPTR, $8

// func markBlocks(text *byte, n int, out *rawMarks)
TEXT ·markBlocks(SB), NOSPLIT, $0-24
	MOVQ text+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ out+16(FP), DI

	VPBROADCASTQ quote<>(SB), Y10
	VPBROADCASTQ slash<>(SB), Y11
	VPBROADCASTQ half<>(SB), Y12
	VBROADCASTI128 lower<>(SB), Y13
	VBROADCASTI128 upper<>(SB), Y14
	VPXOR Y15, Y15, Y15
	VPCMPEQB X9, X9, X9

loop:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1

	VPCMPEQB Y10, Y0, Y2
	VPCMPEQB Y10, Y1, Y3
	VPMOVMSKB Y2, AX
	VPMOVMSKB Y3, BX
	SHLQ $32, BX
	ORQ BX, AX
	MOVQ AX, (DI)

	// Multiplied by all ones, without carry, each bit becomes the parity of
	// those up to it.
	VMOVQ AX, X8
	VPCLMULQDQ $0, X9, X8, X8
	VMOVQ X8, 32(DI)

	VPCMPEQB Y11, Y0, Y2
	VPCMPEQB Y11, Y1, Y3
	VPMOVMSKB Y2, AX
	VPMOVMSKB Y3, BX
	SHLQ $32, BX
	ORQ BX, AX
	MOVQ AX, 8(DI)

	VPSRLW $4, Y0, Y2
	VPSRLW $4, Y1, Y3
	VPAND Y12, Y2, Y2
	VPAND Y12, Y3, Y3
	VPSHUFB Y2, Y14, Y2
	VPSHUFB Y3, Y14, Y3
	VPSHUFB Y0, Y13, Y4
	VPSHUFB Y1, Y13, Y5
	VPAND Y4, Y2, Y2
	VPAND Y5, Y3, Y3

	VPADDB Y2, Y2, Y4
	VPADDB Y3, Y3, Y5
	VPOR Y2, Y4, Y4
	VPOR Y3, Y5, Y5
	VPMOVMSKB Y4, AX
	VPMOVMSKB Y5, BX
	SHLQ $32, BX
	ORQ BX, AX
	MOVQ AX, 16(DI)

	VPCMPEQB Y15, Y2, Y2
	VPCMPEQB Y15, Y3, Y3
	VPMOVMSKB Y2, AX
	VPMOVMSKB Y3, BX
	SHLQ $32, BX
	ORQ BX, AX
	MOVQ AX, 24(DI)

	ADDQ $64, SI
	ADDQ $40, DI
	DECQ CX
	JNZ loop

	VZEROUPPER
	RET
