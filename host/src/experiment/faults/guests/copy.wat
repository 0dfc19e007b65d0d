;; Takes 48 MiB and copies one half over the other, again and again: nothing interrupts one `memory.copy`.
(func $misbehave (result i32)
  (drop (memory.grow (i32.const 767)))
  (loop $again
    (memory.copy (i32.const 0x1800000) (i32.const 0) (i32.const 0x1800000))
    (br $again))
  unreachable)
