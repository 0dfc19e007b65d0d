;; Takes 48 MiB and fills them, again and again: nothing interrupts one `memory.fill`.
(func $misbehave (result i32)
  (drop (memory.grow (i32.const 767)))
  (loop $again
    (memory.fill (i32.const 0) (i32.const 0xff) (i32.const 0x3000000))
    (br $again))
  unreachable)
