;; frame: what every misbehaving guest of the catalogue has around its misbehaviour. A job whose input begins with `!`
;; misbehaves; any other replies with the number of jobs that this instance has begun, four bytes, little endian: so it
;; is seen whether an instance lived on.
(module
  (import "cofferdam" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
  (import "cofferdam" "fail" (func $fail (param i32 i32)))
  (import "cofferdam" "post" (func $post (param i32 i32)))
  (import "cofferdam" "recv" (func $recv (param i32 i32 i32) (result i32)))
  (import "cofferdam" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (global $jobs (mut i32) (i32.const 0))
  (func (export "cofferdam_abi_1"))
  (func (export "handle") (result i32)
    (global.set $jobs (i32.add (global.get $jobs) (i32.const 1)))
    (i32.store8 (i32.const 0) (i32.const 0))
    (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 1)))
    (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 0x21))
      (then (return (call $misbehave))))
    (i32.store (i32.const 0) (global.get $jobs))
    (call $output_write (i32.const 0) (i32.const 4))
    (i32.const 0))
  ;; MISBEHAVIOUR
)
