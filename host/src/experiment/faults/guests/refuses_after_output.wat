;; Writes a part of its reply, and ends with a code.
(data (i32.const 100) "partial")
(func $misbehave (result i32)
  (call $output_write (i32.const 100) (i32.const 7))
  (i32.const 3))
