;; Has the host write a message to a range outside of its memory, though there is none to be written.
(func $misbehave (result i32)
  (drop (call $recv (i32.const 0xfffffff0) (i32.const 0x20) (i32.const 0)))
  (i32.const 0))
