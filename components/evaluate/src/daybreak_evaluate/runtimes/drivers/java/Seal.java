package daybreak;

import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

/** Runs a test that lives in the answer's own process, and says the secret when the test has come to its end. */
final class Seal {
    private static final String[] PACKAGES = {
        "java.lang.", "java.util.", "java.util.function.", "java.util.stream.", "java.util.regex.", "java.util.concurrent.",
        "java.util.concurrent.atomic.", "java.math.", "java.io.", "java.nio.file.", "java.nio.charset.", "java.text.", "java.time.",
        "org.javatuples."
    };

    private Seal() {}

    /**
     * The secret lies outside the heap, which an answer can dump, and only a local variable says where: no code of the
     * answer's can reach a frame of its caller's.
     */
    public static void main(String[] arguments) throws Throwable {
        ByteBuffer secret = ByteBuffer.allocateDirect(256);
        FileChannel input = new FileInputStream(FileDescriptor.in).getChannel();
        while (input.read(secret) > 0);
        secret.flip();
        System.setIn(InputStream.nullInputStream());
        FileChannel output = new FileOutputStream(FileDescriptor.out).getChannel();
        Set<String> words = new HashSet<>(), own = new HashSet<>();
        for (String each : arguments)
            if (each.startsWith("+")) own.add(each.substring(1));
            else words.add(each);
        Plain.allow(own);
        refuseNamesOfJava(words);
        takeUnsafeAway();
        try {
            ClassLoader loader = Seal.class.getClassLoader();
            var entry = Class.forName(arguments[0], true, loader).getDeclaredMethod("main", String[].class);
            entry.setAccessible(true);
            entry.invoke(null, (Object) new String[0]);
        } catch (InvocationTargetException error) {
            fail(error.getCause());
        } catch (Throwable error) {
            fail(error);
        }
        while (secret.hasRemaining()) output.write(secret);
        Runtime.getRuntime().halt(0);
    }

    /** With it an answer could change what numbers and truth values are, or read a frame of its caller's. */
    private static void takeUnsafeAway() throws ReflectiveOperationException {
        try {
            takeAway(Class.forName("sun.misc.Unsafe"));
        } catch (ClassNotFoundException | NoSuchFieldException | NoSuchMethodException isGone) {
            return; // a later Java, or one without that module
        }
    }

    private static void takeAway(Class<?> type) throws ReflectiveOperationException {
        Field itself = type.getDeclaredField("theUnsafe");
        itself.setAccessible(true);
        Object unsafe = itself.get(null);
        Method base = type.getMethod("staticFieldBase", Field.class);
        Method offset = type.getMethod("staticFieldOffset", Field.class);
        Method put = type.getMethod("putObject", Object.class, long.class, Object.class);
        Field behind = type.getDeclaredField("theInternalUnsafe");
        Object where = base.invoke(unsafe, behind), at = offset.invoke(unsafe, behind);
        put.invoke(unsafe, base.invoke(unsafe, itself), offset.invoke(unsafe, itself), null);
        put.invoke(unsafe, where, at, null);
    }

    private static void fail(Throwable error) {
        StringBuilder said = new StringBuilder(error.toString());
        for (StackTraceElement each : Arrays.copyOf(error.getStackTrace(), Math.min(5, error.getStackTrace().length))) {
            said.append("\n    at ").append(each);
        }
        try {
            new FileOutputStream(FileDescriptor.err).write(said.append('\n').toString().getBytes("UTF-8"));
        } catch (Throwable ignored) {
            // the status says enough
        }
        Runtime.getRuntime().halt(error instanceof OutOfMemoryError ? 12 : 1);
    }

    /** A class of the answer's that bears the name of one of Java's would change what the test means by it. */
    private static void refuseNamesOfJava(Set<String> words) {
        String[] files = new File("/out").list();
        for (String file : files == null ? new String[0] : files) {
            if (!file.endsWith(".class")) continue;
            String name = file.substring(0, file.length() - 6);
            String simple = name.substring(name.lastIndexOf('$') + 1);
            if (!words.contains(simple)) continue;
            for (String each : PACKAGES) {
                try {
                    Class.forName(each + simple, false, null);
                } catch (ClassNotFoundException | LinkageError notThere) {
                    continue;
                }
                fail(new IllegalStateException("the answer declares " + simple + ", which the test means as " + each + simple));
            }
        }
    }
}
