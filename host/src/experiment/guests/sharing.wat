;; sharing: reads parts of 16 MiB of data, or shows what workers see of each other. What it does, the length of its
;; input says:
;;
;;   0  reads its pieces of the data from the region, and replies with the sum of their words;
;;   1  the same, but before it replies it posts a message and waits until the host closes the way;
;;   2  writes eight random bytes to the region, from byte 64 on, and replies with them;
;;   3  replies with the eight bytes that stand there;
;;   4  adds 1 to the first word of the region, a thousand times;
;;   more: the input is the data; an odd length stands for one byte more, and for the wait of 1.
;;
;; Pieces: 64 of 4 KiB, one every 262208 bytes.
(module
  (import "cofferdam" "input_len" (func $input_len (result i32)))
  (import "cofferdam" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
  (import "cofferdam" "post" (func $post (param i32 i32)))
  (import "cofferdam" "recv" (func $recv (param i32 i32 i32) (result i32)))
  (import "cofferdam" "random" (func $random (param i32 i32)))
  (import "cofferdam" "region_read" (func $region_read (param i32 i64 i32)))
  (import "cofferdam" "region_write" (func $region_write (param i32 i64 i32)))
  (import "cofferdam" "region_add" (func $region_add (param i64 i64) (result i64)))
  ;; From 0: the reply. From 4096: a piece.
  (memory (export "memory") 1 1)
  (func (export "cofferdam_abi_1"))

  (func $fetch (param $offset i32)
    (if (i32.gt_u (call $input_len) (i32.const 4))
      (then (drop (call $input_read (i32.const 4096) (local.get $offset) (i32.const 4096))))
      (else (call $region_read (i32.const 4096) (i64.extend_i32_u (local.get $offset)) (i32.const 4096)))))

  (func $sum (result i64)
    (local $piece i32)
    (local $at i32)
    (local $sum i64)
    (loop $next_piece
      (call $fetch (i32.mul (local.get $piece) (i32.const 262208)))
      (local.set $at (i32.const 4096))
      (loop $next_word
        (local.set $sum (i64.add (local.get $sum) (i64.load (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next_word (i32.lt_u (local.get $at) (i32.const 8192))))
      (local.set $piece (i32.add (local.get $piece) (i32.const 1)))
      (br_if $next_piece (i32.lt_u (local.get $piece) (i32.const 64))))
    (local.get $sum))

  (func $count
    (local $left i32)
    (local.set $left (i32.const 1000))
    (loop $again
      (drop (call $region_add (i64.const 0) (i64.const 1)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left))))

  (func (export "handle") (result i32)
    (local $len i32)
    (local.set $len (call $input_len))
    (block $reply
      (if (i32.eq (local.get $len) (i32.const 2))
        (then
          (call $random (i32.const 0) (i32.const 8))
          (call $region_write (i32.const 0) (i64.const 64) (i32.const 8))
          (br $reply)))
      (if (i32.eq (local.get $len) (i32.const 3))
        (then
          (call $region_read (i32.const 0) (i64.const 64) (i32.const 8))
          (br $reply)))
      (if (i32.eq (local.get $len) (i32.const 4))
        (then
          (call $count)
          (return (i32.const 0))))
      (i64.store (i32.const 0) (call $sum))
      (br_if $reply (i32.eqz (i32.and (local.get $len) (i32.const 1))))
      (call $post (i32.const 0) (i32.const 1))
      (drop (call $recv (i32.const 8) (i32.const 0) (i32.const -1))))
    (call $output_write (i32.const 0) (i32.const 8))
    (i32.const 0)))
