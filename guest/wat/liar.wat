;; liar: hands the host a range that is not in its memory. The first byte of the input chooses the lie, an ASCII digit;
;; without input it is 0.
;;
;;   0  output_write  starts in the last 16 bytes below 4 GiB, and its end wraps around to 16
;;   1  output_write  starts at 0, and is 4 GiB less one byte long
;;   2  output_write  ends one byte behind the memory
;;   3  output_write  of no bytes, starting one byte behind the memory's end
;;   4  input_read    into a range whose end wraps around, past the input's end, so that nothing would be copied
;;   5  fail          as 0
;;   6  post          as 0
;;   7  recv          as 0, and no message there, so that nothing would be copied
;;   8  log           as 0
;;   9  random        as 0
;;
;; Must happen: the job ends in InterfaceViolation inside that call. A host that believes the lie gets code 77; any
;; other first byte gets code 78, and no lie is told.
(module
  (import "cofferdam" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
  (import "cofferdam" "fail" (func $fail (param i32 i32)))
  (import "cofferdam" "post" (func $post (param i32 i32)))
  (import "cofferdam" "recv" (func $recv (param i32 i32 i32) (result i32)))
  (import "cofferdam" "log" (func $log (param i32 i32 i32)))
  (import "cofferdam" "random" (func $random (param i32 i32)))
  (memory (export "memory") 1 1)
  (global $high i32 (i32.const 0xfffffff0))
  (global $wraps i32 (i32.const 0x20))
  (func (export "cofferdam_abi_1"))
  (func (export "handle") (result i32)
    (i32.store8 (i32.const 0) (i32.const 0x30))
    (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 1)))
    (block $9 (block $8 (block $7 (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0 (block $other
      (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 $9 $other
        (i32.sub (i32.load8_u (i32.const 0)) (i32.const 0x30))))
      ;; other
      (return (i32.const 78)))
      ;; 0
      (call $output_write (global.get $high) (global.get $wraps))
      (return (i32.const 77)))
      ;; 1
      (call $output_write (i32.const 0) (i32.const 0xffffffff))
      (return (i32.const 77)))
      ;; 2
      (call $output_write (i32.const 65535) (i32.const 2))
      (return (i32.const 77)))
      ;; 3
      (call $output_write (i32.const 65537) (i32.const 0))
      (return (i32.const 77)))
      ;; 4
      (drop (call $input_read (global.get $high) (i32.const -1) (global.get $wraps)))
      (return (i32.const 77)))
      ;; 5
      (call $fail (global.get $high) (global.get $wraps))
      (return (i32.const 77)))
      ;; 6
      (call $post (global.get $high) (global.get $wraps))
      (return (i32.const 77)))
      ;; 7
      (drop (call $recv (global.get $high) (global.get $wraps) (i32.const 0)))
      (return (i32.const 77)))
      ;; 8
      (call $log (i32.const 2) (global.get $high) (global.get $wraps))
      (return (i32.const 77)))
    ;; 9
    (call $random (global.get $high) (global.get $wraps))
    (i32.const 77)))
