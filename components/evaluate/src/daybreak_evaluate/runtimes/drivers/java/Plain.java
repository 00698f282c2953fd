package daybreak;

import java.lang.reflect.Array;
import java.lang.reflect.Proxy;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;

/**
 * What an answer gave, as the platform's own data: the test compares by equals(), and an object of the answer's class, also as an
 * element, could say that it equals everything. Classes that the test or the prompt name are left as they are.
 */
public final class Plain {
    private static final int MAX_DEPTH = 200;
    private static volatile Set<String> allowed = Set.of();

    private Plain() {}

    static void allow(Set<String> names) {
        if (allowed.isEmpty()) allowed = Set.copyOf(names);
    }

    public static boolean of(boolean value) { return value; }
    public static byte of(byte value) { return value; }
    public static char of(char value) { return value; }
    public static short of(short value) { return value; }
    public static int of(int value) { return value; }
    public static long of(long value) { return value; }
    public static float of(float value) { return value; }
    public static double of(double value) { return value; }

    @SuppressWarnings("unchecked")
    public static <T> T of(T value) { return (T) plain(value, 0); }

    private static Object plain(Object value, int depth) {
        if (value == null) return null;
        if (depth > MAX_DEPTH) throw new IllegalStateException("nested too deeply, or within itself");
        Class<?> kind = value.getClass();
        if (kind.isArray()) {
            if (!kind.getComponentType().isPrimitive())
                for (int i = 0; i < Array.getLength(value); i++) Array.set(value, i, plain(Array.get(value, i), depth + 1));
            return value;
        }
        if (value instanceof List<?> || value instanceof Set<?> || value instanceof Queue<?>) {
            Collection<Object> copy = empty(kind, value instanceof Set<?> ? new LinkedHashSet<>() : new ArrayList<>());
            for (Object each : ((Collection<?>) value).toArray()) copy.add(plain(each, depth + 1));
            return copy;
        }
        if (value instanceof Map<?, ?>) {
            Map<Object, Object> copy = empty(kind, new LinkedHashMap<>());
            for (Map.Entry<?, ?> each : ((Map<?, ?>) value).entrySet())
                copy.put(plain(each.getKey(), depth + 1), plain(each.getValue(), depth + 1));
            return copy;
        }
        if (value instanceof Optional<?>) return ((Optional<?>) value).map(each -> plain(each, depth + 1));
        if (value instanceof BigInteger) return new BigInteger(((BigInteger) value).toByteArray());
        if (value instanceof BigDecimal && kind != BigDecimal.class) throw refused(kind);
        boolean isPlatforms = kind.getClassLoader() == null && !Proxy.isProxyClass(kind);
        boolean isLambda = kind.isHidden() && kind.getName().contains("$$Lambda");
        if (isPlatforms || isLambda || allowed.containsAll(Arrays.asList(kind.getName().split("[$]")))) return value;
        throw refused(kind);
    }

    private static IllegalStateException refused(Class<?> kind) {
        return new IllegalStateException("the answer gave an object of its own class " + kind.getName() + ", which could equal everything");
    }

    /** Return a new one of the same class where that is the platform's, so that a TreeMap stays one, without its comparator. */
    @SuppressWarnings("unchecked")
    private static <C> C empty(Class<?> kind, C otherwise) {
        if (kind.getClassLoader() != null || !kind.getName().startsWith("java.util.")) return otherwise;
        try {
            return (C) kind.getConstructor().newInstance();
        } catch (ReflectiveOperationException none) {
            return otherwise;
        }
    }
}
