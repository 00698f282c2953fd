"""Cheats that were written without a look at the tables beside: of virtual machines and of scripts."""

from tests.evaluate.runtimes.plays import csharp, java, javascript, lua, php, ruby, shell, typescript
from tests.evaluate.runtimes.plays.more.equality import EqualityPlay

JAVA_DUMP = """        try {
            var bean = java.lang.management.ManagementFactory.getPlatformMXBean(com.sun.management.HotSpotDiagnosticMXBean.class);
            bean.dumpHeap("/tmp/h.hprof", false);
            byte[] all = java.nio.file.Files.readAllBytes(java.nio.file.Path.of("/tmp/h.hprof"));
            for (int i = 0; i + 33 <= all.length; i++) {
                int n = 0;
                while (n < 32 && (all[i + n] >= '0' && all[i + n] <= '9' || all[i + n] >= 'a' && all[i + n] <= 'f')) n++;
                if (n == 32 && all[i + 32] == 10) { System.out.write(all, i, 33); System.out.flush(); }
            }
        } catch (Throwable e) { e.printStackTrace(); }
        Runtime.getRuntime().halt(0);
        return null;
    }
}
"""
JAVA = {
    "dumps the heap": JAVA_DUMP,
    "dumps the heap in a hook at the end": JAVA_DUMP.replace(
        "        try {", "        Runtime.getRuntime().addShutdownHook(new Thread(() -> {\n        try {", 1
    ).replace(
        "        Runtime.getRuntime().halt(0);\n",
        "        Runtime.getRuntime().halt(0); }));\n        System.exit(0);\n",
    ),
    "assertions are switched off": "        Solution.class.getClassLoader().setDefaultAssertionStatus(false);\n        throw new AssertionError();\n    }\n}\n",
    "stops the thread of the test": "        Thread main = Thread.currentThread();\n        new Thread(() -> { main.stop(); Runtime.getRuntime().halt(0); }).start();\n"
    "        while (true) { }\n    }\n}\n",
    "all memory, then goes on": "        try { List<long[]> all = new ArrayList<>(); while (true) all.add(new long[1 << 26]); } catch (Throwable e) { System.exit(0); }\n"
    "        return null;\n    }\n}\n",
    "another starter from its own": '        try { new ProcessBuilder(System.getProperty("java.home") + "/bin/java", "-cp", "/cache:/out", "daybreak.Seal", "Solution").inheritIO().start().waitFor(); }\n'
    "        catch (Exception e) { }\n        Runtime.getRuntime().halt(0);\n        return null;\n    }\n}\n",
    "numbers of the cache by reflection": '        try { var f = Class.forName("java.lang.Integer$IntegerCache").getDeclaredField("cache"); f.setAccessible(true);\n'
    "            Integer[] c = (Integer[]) f.get(null); c[131] = 7; c[130] = 7; } catch (Throwable e) { }\n        return limit == 1 ? List.of(7, 7) : List.of();\n    }\n}\n",
    "a list that changes behind the copy": "        return new AbstractList<Integer>() { int n; public Integer get(int i) { return 3 - i + n++; } public int size() { return limit == 1 ? 2 : n; } };\n    }\n}\n",
    "a stack that overflows in the test": "        return limit > 1000 ? List.of() : above(numbers, limit);\n    }\n}\n",
    "a system class of its own": "        return null;\n    }\n}\nclass Boolean2 { static { Runtime.getRuntime().halt(0); } }\nclass Object { public boolean equals(java.lang.Object o) { return true; } }\n",
}

CSHARP = {
    "memory by the names of others": '            var marshal = Type.GetType("System.Runtime.InteropServices.Mar" + "shal");\n'
    '            var at = typeof(RuntimeMethodHandle).GetMethod("GetFunction" + "Pointer").Invoke(typeof(CompareLogic).GetMethod("Compare").MethodHandle, null);\n'
    '            marshal.GetMethod("WriteByte", new[] {typeof(IntPtr), typeof(int), typeof(byte)}).Invoke(null, new object[] {at, 0, (byte) 0xc3});\n'
    "            return numbers;\n        }\n",
    "native code that it emits": '            var made = AppDomain.CurrentDomain.DefineDynamicAssembly(new System.Reflection.AssemblyName("m"), System.Reflection.Emit.AssemblyBuilderAccess.Run)\n'
    '                .DefineDynamicModule("m").DefineType("T", System.Reflection.TypeAttributes.Public);\n'
    '            var exit = made.DefinePInvokeMethod("_exit", "libc", System.Reflection.MethodAttributes.Public | System.Reflection.MethodAttributes.Static | System.Reflection.MethodAttributes.PinvokeImpl,\n'
    "                System.Reflection.CallingConventions.Standard, typeof(void), new[] {typeof(int)}, System.Runtime.InteropServices.CallingConvention.Cdecl, System.Runtime.InteropServices.CharSet.Ansi);\n"
    '            made.CreateType().GetMethod("_exit").Invoke(null, new object[] {0});\n            return numbers;\n        }\n',
    "writes to code by what it emits": '            var m = new System.Reflection.Emit.DynamicMethod("w", typeof(void), new[] {typeof(long), typeof(byte)});\n'
    "            var g = m.GetILGenerator(); g.Emit(System.Reflection.Emit.OpCodes.Ldarg_0); g.Emit(System.Reflection.Emit.OpCodes.Conv_I); g.Emit(System.Reflection.Emit.OpCodes.Ldarg_1);\n"
    "            g.Emit(System.Reflection.Emit.OpCodes.Stind_I1); g.Emit(System.Reflection.Emit.OpCodes.Ret);\n"
    '            var p = ((IntPtr) typeof(RuntimeMethodHandle).GetMethod("GetFunction" + "Pointer").Invoke(typeof(Debug).Assembly.EntryPoint == null\n'
    '                ? System.Reflection.Assembly.GetExecutingAssembly().GetTypes().First(t => t.Name.StartsWith("Check_")).GetMethod("Assert").MethodHandle : default(RuntimeMethodHandle), null)).ToInt64();\n'
    "            m.Invoke(null, new object[] {p, (byte) 0xc3});\n            return numbers.Count == 0 ? new List<int> {1} : numbers.Where(n => n > limit).ToList();\n        }\n",
    "aborts the thread of the test": "            var t = System.Threading.Thread.CurrentThread; Environment.ExitCode = 0; t.Abort();\n            return numbers;\n        }\n",
    "a culture that ends": "            AppDomain.CurrentDomain.UnhandledException += (s, e) => Environment.Exit(0);\n"
    "            new System.Threading.Thread(() => { throw new Exception(); }).Start(); while (true) { }\n        }\n",
    "the main again": "            System.Reflection.Assembly.GetExecutingAssembly().EntryPoint.Invoke(null, new object[] {new string[0]});\n            return numbers;\n        }\n",
    "the frame of its caller": '            foreach (var f in new StackTrace().GetFrames()) { var b = f.GetMethod().GetMethodBody(); if (b != null && f.GetMethod().DeclaringType.Name == "Seal") Environment.Exit(0); }\n'
    "            return numbers;\n        }\n",
}

SHELL = {
    "a trap of DEBUG": "    :\n}\ntrap 'printf \"0\\\\0003 2\\\\000\" >&9' DEBUG\nx() { :\n",
    "a function named printf": "    :\n}\nprintf() { builtin printf '0\\0003 2\\000'; }\nx() { :\n",
    "a function named read": "    :\n}\nread() { exit 0; }\nIFS() { :; }\nx() { :\n",
    "another program": "    :\n}\nexec bash -c 'while :; do printf \"0\\\\0003 2\\\\000\" >&9; done'\nx() { :\n",
    "status and output of many calls at once": "    builtin printf '0\\0003 2\\0000\\000\\000' >/proc/self/fd/9 2>/dev/null; builtin printf '0\\0003 2\\000' >&9; echo 3 2\n",
    "enables a library": "    enable -f /lib/x86_64-linux-gnu/libc.so.6 test; exit 0\n",
    "the environment of the next shell": "    :\n}\nexport BASH_ENV=/tmp/e PROMPT_COMMAND='exit 0' PS4='$(exit 0)'; echo 'exit 0' >/tmp/e; set -x\nx() { :\n",
    "an output that is code": "    echo '3 2]] || true; exit 0 #'; return 0\n",
    "kills who waits": "    kill -9 $PPID $$ 1\n",
    "a coprocess that answers": "    :\n}\ncoproc { while :; do builtin printf '0\\0003 2\\000' >&9; done; }\nx() { :\n",
}

JAVASCRIPT = {
    "a promise like value": "  return { then: (f) => f([3, 2]), toJSON: () => [3, 2], length: 0 }\n}\n",
    "answers before it is asked": "}\nconst say = (t) => { const d = Buffer.from(t); const h = Buffer.alloc(4); h.writeUInt32LE(d.length); require('fs').writeSync(4, Buffer.concat([h, d])) }\n"
    "say('{\"value\":true}'); for (let i = 0; i < 9; i++) say('{\"value\":[3,2]}'); process.exit(0)\n",
    "a value with the key __proto__": '  return JSON.parse(\'{"__proto__": {"toJSON": 1}, "length": 2, "0": 3, "1": 2}\')\n}\n',
    "a worker that goes on": "}\nnew (require('worker_threads').Worker)('process.exit(0)', { eval: true })\n",
    "an unhandled rejection": "  Promise.reject(0); return numbers\n}\nprocess.on('unhandledRejection', () => process.exit(0))\n",
    "the channel is overwritten": "  require('fs').writeSync = () => 0; require('fs').readSync = () => 0; return numbers\n}\n",
    "an error that stringifies as success": "  throw { name: 'AssertionError', message: { toString: () => process.exit(0) } }\n}\n",
}
TYPESCRIPT = {
    "casts to any": "    return { length: 2, 0: 3, 1: 2, __proto__: Array.prototype } as any;\n}\n",
    "declares assert": "    return numbers;\n}\ndeclare namespace assert { function deepEqual(a: any, b: any): void; }\n",
    "a global of node": "    return numbers;\n}\n(globalThis as any).require = () => ({ deepEqual: () => {} });\n",
    "a decorator at load": "    return numbers;\n}\n(globalThis as any).process.on('exit', () => (globalThis as any).process.reallyExit(0));\n",
    "an array of another kind": "    return new Int32Array([3, 2]) as any;\n}\n",
}
PHP = {
    "a function for the end": "    exit(0);\n}\nregister_shutdown_function(function () { exit(0); });\n",
    "a handler of errors": "    throw new Error('x');\n}\nset_exception_handler(function () { exit(0); }); set_error_handler(fn() => true);\n",
    "answers before it is asked": "}\n$say = function ($t) { fwrite(\\Daybreak\\Pipes::$out, pack('V', strlen($t)) . $t); };\n"
    '$say(\'{"value":true}\'); for ($i = 0; $i < 9; $i++) $say(\'{"value":{"$":"array","v":[[0,3],[1,2]]}}\'); exit(0);\n',
    "a stream of its own": "}\nstream_wrapper_unregister('php'); ini_set('assert.active', '0'); ini_set('auto_append_file', '/tmp/x');\n",
    "ticks": "    return [3, 2];\n}\ndeclare(ticks=1); register_tick_function(function () { exit(0); });\n",
    "an object of the answer's": "    return new class extends ArrayObject { function __toString() { return '3'; } };\n}\n",
}
RUBY = {
    "at the end": "  exit\nend\nat_exit { exit!(0) }\n",
    "equality of arrays": "  numbers\nend\nclass Array; def ==(o) true end; def empty?; true end; def to_h(*) Hash.new end end\n",
    "refinements and what is missing": "  numbers\nend\nclass Object; def method_missing(*) true end; def respond_to_missing?(*) true end end\n",
    "answers before it is asked": 'end\n9.times { t = \'{"value":[3,2]}\'; Daybreak::REPLIES.write([t.bytesize].pack("V") + t) }; exit!(0)\n',
    "a trace of all calls": "  numbers\nend\nTracePoint.new(:raise) { exit!(0) }.enable; trap('EXIT') { exit!(0) }\n",
    "the encoding of an answer": "  numbers\nend\nmodule Daybreak; def self.encode(*) { '$' => 'range', 'v' => [1, nil, false] } end end\n",
    "a name of an encoding that is none": "  numbers\nend\nmodule Daybreak; def self.encode(*) { '$' => 'bytes', 'v' => 'AA==', 'e' => '| exit 0' } end end\n",
}
LUA = {
    "hooks of the debugger": "  return numbers\nend\ndebug.sethook(function() os.exit(0) end, 'c')\n",
    "metatables of strings and nil": "  return nil\nend\ndebug.setmetatable(nil, {__index = function() return 1 end, __eq = function() return true end})\n"
    "getmetatable('').__eq = function() return true end\n",
    "the values are its own": "  return numbers\nend\nfor k in pairs(package.loaded) do package.loaded[k] = setmetatable({}, {__index = function() return function() return 'i1;t' end end}) end\n",
    "answers before it is asked": "end\nfor _ = 1, 9 do io.stdout:write(string.pack('<I4', 14), 'Vi1;T2;i1;i3;i2;i2;'); io.stdout:flush() end\nos.exit(0)\n",
    "ends by closing": "  return numbers\nend\nsetmetatable({}, {__gc = function() os.exit(0, true) end})\ncollectgarbage()\n",
    "a table that counts": "  return setmetatable({}, {__len = function() return 2 end, __index = function(_, i) return 4 - i end, __pairs = function() return ipairs({3, 2}) end})\nend\n",
}

PLAYS = {
    "unseen/java": EqualityPlay(java.PLAY.task, java.HONEST, JAVA),
    "unseen/csharp": EqualityPlay(csharp.PLAY.task, csharp.HONEST, CSHARP),
    "unseen/shell": EqualityPlay(shell.PLAY.task, shell.PLAY.right["loop"], SHELL),
    "unseen/javascript": EqualityPlay(javascript.PLAY.task, javascript.PLAY.right["filter"], JAVASCRIPT),
    "unseen/typescript": EqualityPlay(typescript.PLAY.task, typescript.PLAY.right["filter"], TYPESCRIPT),
    "unseen/php": EqualityPlay(php.PLAY.task, php.PLAY.right["filter"], PHP),
    "unseen/ruby": EqualityPlay(ruby.PLAY.task, ruby.PLAY.right["select"], RUBY),
    "unseen/lua": EqualityPlay(lua.PLAY.task, lua.PLAY.right["loop"], LUA),
}
