;; Takes memory by the MiB and writes to it, until it gets no more; then it gives up.
(func $misbehave (result i32)
  (local $pages i32)
  (block $denied
    (loop $again
      (local.set $pages (memory.grow (i32.const 16)))
      (br_if $denied (i32.eq (local.get $pages) (i32.const -1)))
      (memory.fill (i32.mul (local.get $pages) (i32.const 65536)) (i32.const 0xff) (i32.const 0x100000))
      (br $again)))
  unreachable)
