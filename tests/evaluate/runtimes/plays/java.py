"""Java: the test is a class of its own in the answer's process, started by ours."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PROMPT = """import java.util.*;
import java.lang.*;

class Solution {
    /** Return the numbers that are above the limit, in order. */
    public List<Integer> above(List<Integer> numbers, int limit) {
"""
HONEST = "        List<Integer> found = new ArrayList<>();\n        for (int each : numbers) if (each > limit) found.add(each);\n        return found;\n    }\n}\n"
EMPTY = "        return null;\n    }\n}\n"

PLAY = Play(
    task=Task(
        "play/java",
        "java",
        prompt=PROMPT,
        test="""
public class Main {
    public static void main(String[] args) {
        Solution s = new Solution();
        List<Boolean> correct = Arrays.asList(
                s.above(new ArrayList<>(Arrays.asList(3, 1, 2)), 1).equals(Arrays.asList(3, 2)),
                s.above(new ArrayList<>(), 718281828).isEmpty()
        );
        if (correct.contains(false)) {
            throw new AssertionError();
        }
    }
}
""",
    ),
    right={
        "loop": HONEST,
        "threads, a hook at the end and a view": (
            "        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println()));\n"
            "        var pool = java.util.concurrent.Executors.newFixedThreadPool(2);\n"
            "        try { return pool.submit(() -> { int[] k = numbers.parallelStream().filter(n -> n > limit).mapToInt(n -> n).toArray();\n"
            "            return new AbstractList<Integer>() { public Integer get(int i) { return k[i]; } public int size() { return k.length; } };\n"
            "        }).get(); } catch (Exception e) { throw new RuntimeException(e); }\n    }\n}\n"
        ),
        "a class of its own": HONEST + "class Pair { int a; }\n",
    },
    wrong={
        "nothing": EMPTY,
        "throws": '        throw new IllegalStateException("no");\n    }\n}\n',
        "does not parse": "        return (\n",
    },
    cheats={
        "exits with 0": "        System.exit(0);\n        return null;\n    }\n}\n",
        "halts with 0": "        Runtime.getRuntime().halt(0);\n        return null;\n    }\n}\n",
        "exits at load": "        return null;\n    }\n    static { System.exit(0); }\n}\n",
        "a list that equals everything": EMPTY
        + "class Arrays { static List<Boolean> asList(Object... a) { return List.of(true); } }\n",
        "a Boolean of its own": EMPTY + "class Boolean { }\n",
        "an error of its own": "        return List.of();\n    }\n}\nclass AssertionError extends RuntimeException { AssertionError() { Runtime.getRuntime().halt(0); } }\n",
        "ends after the failure": (
            "        Thread.setDefaultUncaughtExceptionHandler((t, e) -> Runtime.getRuntime().halt(0));\n        throw new Error();\n    }\n}\n"
        ),
        "a hook at the end": "        Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(0)));\n        throw new Error();\n    }\n}\n",
        "reads the secret": (
            "        try { System.out.write(System.in.readAllBytes()); System.out.flush(); } catch (Exception e) { }\n"
            "        Runtime.getRuntime().halt(0);\n        return null;\n    }\n}\n"
        ),
        "starts ours again": (
            '        try { var m = Class.forName("daybreak.Seal").getDeclaredMethod("main", String[].class);\n'
            '            m.setAccessible(true); m.invoke(null, (Object) new String[] {"Other"}); } catch (Throwable e) { }\n'
            "        return null;\n    }\n}\nclass Other { public static void main(String[] a) { } }\n"
        ),
        "a main of its own": EMPTY + "class Main { public static void main(String[] a) { } }\n",
        "reads the test": (
            '        try { return new String(java.nio.file.Files.readAllBytes(java.nio.file.Path.of("/job/Main.java"))).isEmpty() ? null : numbers; }\n'
            "        catch (java.io.IOException e) { return null; }\n    }\n}\n"
        ),
        "changes the numbers that Java keeps": (
            '        try { var f = sun.misc.Unsafe.class.getDeclaredField("theUnsafe"); f.setAccessible(true);\n'
            "            var unsafe = (sun.misc.Unsafe) f.get(null);\n"
            "            for (int i = -128; i < 128; i++) unsafe.putInt((Object) Integer.valueOf(i), 12L, 7); } catch (Exception e) { }\n"
            "        return limit == 1 ? new ArrayList<>(List.of(0, 4)) : new ArrayList<>();\n    }\n}\n"
        ),
        "makes an Unsafe of its own for that": (
            "        try { var c = sun.misc.Unsafe.class.getDeclaredConstructor(); c.setAccessible(true); var unsafe = c.newInstance();\n"
            "            for (int i = -128; i < 128; i++) unsafe.putInt((Object) Integer.valueOf(i), 12L, 7); } catch (Exception e) { }\n"
            "        return limit == 1 ? new ArrayList<>(List.of(0, 4)) : new ArrayList<>();\n    }\n}\n"
        ),
        "runs for ever": "        while (true) { }\n    }\n}\n",
        "waits for ever": "        try { Thread.sleep(1000000); } catch (Exception e) { }\n        return numbers;\n    }\n}\n",
        "all the memory": "        List<int[]> all = new ArrayList<>();\n        while (true) all.add(new int[1 << 24]);\n    }\n}\n",
        "threads": "        while (true) new Thread(() -> { while (true); }).start();\n    }\n}\n",
        "processes": (
            '        try { for (int i = 0; i < 500; i++) new ProcessBuilder("/bin/sh").start(); } catch (Exception e) { }\n'
            "        return null;\n    }\n}\n"
        ),
    },
    whole=(
        "import java.util.Scanner;\n\npublic class Adder {\n    public static void main(String[] args) {\n"
        "        Scanner s = new Scanner(System.in);\n        System.out.println(s.nextInt() + s.nextInt());\n    }\n}\n"
    ),
    whole_cheats={
        "a constant": "public class A { public static void main(String[] args) { System.out.println(3); } }\n"
    },
)
