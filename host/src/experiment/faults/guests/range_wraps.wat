;; Gives the host a range that begins below 4 GiB and ends behind it, which wraps around to 16.
(func $misbehave (result i32)
  (call $output_write (i32.const 0xfffffff0) (i32.const 0x20))
  (i32.const 0))
