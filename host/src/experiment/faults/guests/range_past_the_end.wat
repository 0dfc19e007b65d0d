;; Gives the host a range that ends one byte behind the memory.
(func $misbehave (result i32)
  (call $output_write (i32.const 65535) (i32.const 2))
  (i32.const 0))
