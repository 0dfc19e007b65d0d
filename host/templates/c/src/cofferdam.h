/* The guest interface of cofferdam, version 1. All pointers and lengths are ranges of this guest's memory; the host checks
 * each, and a range outside of it ends the job. */
#ifndef COFFERDAM_H
#define COFFERDAM_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef long long i64;

#define COFFERDAM_IMPORT(name) __attribute__((import_module("cofferdam"), import_name(name)))
#define COFFERDAM_EXPORT(name) __attribute__((export_name(name)))

/* Bytes of this job's input. */
COFFERDAM_IMPORT("input_len") u32 input_len(void);
/* Copies input from `offset` on, and returns how many bytes: 0 from its end on. */
COFFERDAM_IMPORT("input_read") u32 input_read(void *dst, u32 offset, u32 len);
/* Appends to the reply. */
COFFERDAM_IMPORT("output_write") void output_write(const void *src, u32 len);
/* The reason, UTF-8, that goes with a refusal. It ends nothing. */
COFFERDAM_IMPORT("fail") void fail(const void *src, u32 len);
/* Sends a message to the host now, before the reply. */
COFFERDAM_IMPORT("post") void post(const void *src, u32 len);
/* Takes the next message of the host's: its length, -1 none in time, -2 none any more. One that is longer than `cap` stays. */
COFFERDAM_IMPORT("recv") int recv(void *dst, u32 cap, int timeout_ms);
/* A line for the host's log: 0 error, 1 warn, 2 info, 3 debug, 4 trace. */
COFFERDAM_IMPORT("log") void host_log(int level, const void *src, u32 len);
/* Random bytes. */
COFFERDAM_IMPORT("random") void host_random(void *dst, u32 len);
/* Nanoseconds since an arbitrary moment. */
COFFERDAM_IMPORT("clock") i64 host_clock(void);

/* The region: memory that the host shares between its workers, where it does. These copy; an offset is in the region, and
 * a range outside of it ends the job. */
/* Bytes of the region, or -1: there is none, and no other of these may be called. */
COFFERDAM_IMPORT("region_len") i64 region_len(void);
COFFERDAM_IMPORT("region_read") void region_read(void *dst, i64 offset, u32 len);
COFFERDAM_IMPORT("region_write") void region_write(const void *src, i64 offset, u32 len);
/* The eight bytes at a multiple of 8, atomically; the last two return what they were before. */
COFFERDAM_IMPORT("region_load") i64 region_load(i64 offset);
COFFERDAM_IMPORT("region_store") void region_store(i64 offset, i64 value);
COFFERDAM_IMPORT("region_add") i64 region_add(i64 offset, i64 value);
COFFERDAM_IMPORT("region_compare_exchange") i64 region_compare_exchange(i64 offset, i64 expected, i64 new_value);

/* The marker: this is a guest, and of this version. Write it once, in one file. */
#define COFFERDAM_GUEST COFFERDAM_EXPORT("cofferdam_abi_1") void cofferdam_abi_1(void) {}
/* Stands before `int handle(void)`, which does one job: 0 is done, all else a refusal with that code. */
#define COFFERDAM_HANDLE COFFERDAM_EXPORT("handle")

#endif
