;; Posts messages of 64 KiB, again and again.
(func $misbehave (result i32)
  (loop $forever
    (call $post (i32.const 0) (i32.const 65536))
    (br $forever))
  unreachable)
