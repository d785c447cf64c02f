// SPDX-License-Identifier: GPL-3.0-or-later
// Good answers of a server, as it would send them: header (left zero) and body. In hex.
#ifndef TEST_SMB2_ANSWERS_H
#define TEST_SMB2_ANSWERS_H

#define ANSWER_HDR                                                                                 \
    "00000000000000000000000000000000 00000000000000000000000000000000"                            \
    "00000000000000000000000000000000 00000000000000000000000000000000"
#define ANSWER_FID "1817161514131211 2827262524232221"

// Token at 128, contexts at 136 (pre-authentication), 184 (encryption), 200 (signing).
#define ANSWER_NEGOTIATE                                                                           \
    ANSWER_HDR "4100 0300 1103 0300 A0A1A2A3A4A5A6A7A8A9AAABACADAEAF 2F000000"                     \
               "00008000 00009000 0000A000 0000000000000000 0000000000000000 8000 0400 88000000"   \
               "60480603 00000000"                                                                 \
               "0100 2600 00000000 0100 2000 0100"                                                 \
               "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F 0000"             \
               "0200 0400 00000000 0100 0200 00000000"                                             \
               "0800 0400 00000000 0100 0200"
#define ANSWER_SESSION_SETUP ANSWER_HDR "0900 0400 4800 0300 A1B2C3"
#define ANSWER_TREE_CONNECT ANSWER_HDR "1000 01 00 00800000 10000000 FF011F00"
// Contexts at 152 (MxAc) and 184 (QFid).
#define ANSWER_CREATE                                                                              \
    ANSWER_HDR "5900 00 00 02000000 0000000000000000 0000000000000000 0000000000000000"            \
               "0000000000000000 0000100000000000 0002000000010000 20000000 00000000" ANSWER_FID   \
               "98000000 58000000"                                                                 \
               "20000000 1000 0400 0000 1800 08000000 4D784163 00000000 00000000FF011F00"          \
               "00000000 1000 0400 0000 1800 20000000 51466964 00000000"                           \
               "0807060504030201 F8F7F6F5F4F3F2F1 00000000000000000000000000000000"
#define ANSWER_CLOSE                                                                               \
    ANSWER_HDR "3C00 0000 00000000 0000000000000000 0000000000000000 0000000000000000"             \
               "0000000000000000 0000000000000000 0000000000000000 00000000"
#define ANSWER_FLUSH ANSWER_HDR "0400 0000"
#define ANSWER_SET_INFO ANSWER_HDR "0200"
#define ANSWER_READ ANSWER_HDR "1100 50 00 04000000 00000000 00000000 D1D2D3D4"
#define ANSWER_WRITE ANSWER_HDR "1100 0000 00001000 00000000 0000 0000"
// Ranges [0x10000, 0x20000) and [0x40000, 0x48000).
#define ANSWER_RANGES                                                                              \
    ANSWER_HDR "3100 0000 CF400900" ANSWER_FID                                                     \
               "70000000 00000000 70000000 20000000 00000000 00000000"                             \
               "0000010000000000 0000010000000000 0000040000000000 0080000000000000"
#define ANSWER_STANDARD                                                                            \
    ANSWER_HDR "0900 4800 18000000 0000100000000000 0002000000010000 01000000 01 00 0000"
#define ANSWER_INTERNAL ANSWER_HDR "0900 4800 08000000 0807060504030201"
#define ANSWER_VOLUME                                                                              \
    ANSWER_HDR "0900 4800 16000000 0000000000000000 44332211 04000000 00 00 5600 4D00"
// 4 KiB units of 8 sectors: 256 in all, 16 free.
#define ANSWER_FULL_SIZE                                                                           \
    ANSWER_HDR "0900 4800 20000000 0001000000000000 1000000000000000 2000000000000000"             \
               "08000000 00020000"

#endif
