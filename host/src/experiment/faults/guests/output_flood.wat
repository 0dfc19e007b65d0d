;; Appends 64 KiB to its reply, again and again.
(func $misbehave (result i32)
  (loop $forever
    (call $output_write (i32.const 0) (i32.const 65536))
    (br $forever))
  unreachable)
