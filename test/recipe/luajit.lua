-- LuaJIT: memory of C that a program has made by ffi is destroyed by the library's worker. The declarations are
-- those that the library installs for foreign function interfaces. A destructor is a function of C: the worker may
-- not call into Lua.
--
--     luajit luajit.lua "$(pkg-config --variable=declarations defer_drop)"
local ffi = require("ffi")
ffi.cdef(io.open(arg[1]):read("*a"))
ffi.cdef("void *malloc(size_t); void free(void *);")
local library = ffi.load("defer_drop")
local free = ffi.cast("defer_drop_fn", ffi.C.free)

for _ = 1, 1000 do
	local object = ffi.C.malloc(100000)
	if library.defer_drop(object, free) ~= 0 then
		ffi.C.free(object)
	end
end
assert(library.defer_drop_flush() == 0)
print("all is destroyed, by version " .. library.defer_drop_version())
