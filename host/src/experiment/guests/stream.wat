;; stream: sends or takes many messages in one job.
;;
;; Input: a count and a size, 4 bytes each, little endian. With a count above 0 it posts so many messages of that
;; size, and replies with nothing. With 0 it takes messages until the host closes the way, and replies with their
;; count, 4 bytes, little endian.
(module
  (import "cofferdam" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
  (import "cofferdam" "post" (func $post (param i32 i32)))
  (import "cofferdam" "recv" (func $recv (param i32 i32 i32) (result i32)))
  ;; Page 0: the input and the count. Pages 1 and 2: a message.
  (memory (export "memory") 3 3)
  (func (export "cofferdam_abi_1"))
  (func (export "handle") (result i32)
    (local $left i32)
    (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 8)))
    (local.set $left (i32.load (i32.const 0)))
    (if (local.get $left)
      (then
        (loop $again
          (call $post (i32.const 65536) (i32.load (i32.const 4)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br_if $again (local.get $left)))
        (return (i32.const 0))))
    (block $closed
      (loop $again
        (br_if $closed
          (i32.lt_s (call $recv (i32.const 65536) (i32.const 131072) (i32.const -1)) (i32.const 0)))
        (local.set $left (i32.add (local.get $left) (i32.const 1)))
        (br $again)))
    (i32.store (i32.const 8) (local.get $left))
    (call $output_write (i32.const 8) (i32.const 4))
    (i32.const 0)))
