;; Takes memory in four memories by turns, each of which stays below the limit, until it gets no more.
(memory $a 1)
(memory $b 1)
(memory $c 1)
(func $misbehave (result i32)
  (block $denied
    (loop $again
      (br_if $denied (i32.eq (memory.grow (i32.const 16)) (i32.const -1)))
      (br_if $denied (i32.eq (memory.grow $a (i32.const 16)) (i32.const -1)))
      (br_if $denied (i32.eq (memory.grow $b (i32.const 16)) (i32.const -1)))
      (br_if $denied (i32.eq (memory.grow $c (i32.const 16)) (i32.const -1)))
      (br $again)))
  unreachable)
