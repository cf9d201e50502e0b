import java.util.*;

/** Prints kind TAB input TAB hashCode TAB murmurHash TAB key group of 128 TAB key group of 4096. */
public class Vectors {
    // org.apache.flink.util.MathUtils.murmurHash, copied
    static int murmurHash(int code) {
        code *= 0xcc9e2d51;
        code = Integer.rotateLeft(code, 15);
        code *= 0x1b873593;
        code = Integer.rotateLeft(code, 13);
        code = code * 5 + 0xe6546b64;
        code ^= 4;
        code = bitMix(code);
        if (code >= 0) return code;
        else if (code != Integer.MIN_VALUE) return -code;
        else return 0;
    }
    static int bitMix(int in) {
        in ^= in >>> 16;
        in *= 0x85ebca6b;
        in ^= in >>> 13;
        in *= 0xc2b2ae35;
        in ^= in >>> 16;
        return in;
    }
    static void out(String kind, String input, int hash) {
        int m = murmurHash(hash);
        System.out.println(kind + "\t" + input + "\t" + hash + "\t" + m + "\t" + (m % 128) + "\t" + (m % 4096));
    }
    // org.apache.flink.api.java.tuple.TupleN.hashCode
    static int tuple(Object... fields) {
        int result = fields[0] != null ? fields[0].hashCode() : 0;
        for (int i = 1; i < fields.length; i++) result = 31 * result + (fields[i] != null ? fields[i].hashCode() : 0);
        return result;
    }
    public static void main(String[] a) {
        Random r = new Random(42);
        for (String s : new String[] {"", "a", "m-0012345", "m-0099999", "r-07", "12345678", "123456789abcdefgh",
                "Zähler", "Ωmega", "日本語", "😀 meter", "a😀b", "\u00e9", "The quick brown fox jumps over the lazy dog"})
            out("string", s, s.hashCode());
        for (int i = 0; i < 200; i++) { String s = String.format("m-%07d", r.nextInt(100000)); out("string", s, s.hashCode()); }
        for (int v : new int[] {0, 1, -1, 127, 128, Integer.MAX_VALUE, Integer.MIN_VALUE}) out("i32", "" + v, Integer.hashCode(v));
        for (int i = 0; i < 50; i++) { int v = r.nextInt(); out("i32", "" + v, Integer.hashCode(v)); }
        for (long v : new long[] {0, 1, -1, 1700000000000L, Long.MAX_VALUE, Long.MIN_VALUE, 1L << 32, 0xffffffffL}) out("i64", "" + v, Long.hashCode(v));
        for (int i = 0; i < 50; i++) { long v = r.nextLong(); out("i64", "" + v, Long.hashCode(v)); }
        for (int v : new int[] {0, 5, -5, Short.MAX_VALUE, Short.MIN_VALUE}) out("i16", "" + v, Short.hashCode((short) v));
        for (int v : new int[] {0, 5, -5, 127, -128}) out("i8", "" + v, Byte.hashCode((byte) v));
        out("bool", "true", Boolean.hashCode(true));
        out("bool", "false", Boolean.hashCode(false));
        for (char c : new char[] {'a', 'Z', 'ä', '日'}) out("char", "" + c, Character.hashCode(c));
        for (double d : new double[] {0.0, -0.0, 1.5, -3.25, Double.NaN, Double.POSITIVE_INFINITY, Double.MIN_VALUE}) out("f64", Long.toHexString(Double.doubleToRawLongBits(d)), Double.hashCode(d));
        for (float d : new float[] {0f, -0f, 1.5f, -3.25f, Float.NaN, Float.NEGATIVE_INFINITY}) out("f32", Integer.toHexString(Float.floatToRawIntBits(d)), Float.hashCode(d));
        for (int i = 0; i < 20; i++) { UUID u = new UUID(r.nextLong(), r.nextLong()); out("uuid", u.toString().replace("-", ""), u.hashCode()); }
        for (int i = 0; i < 50; i++) {
            String s = String.format("m-%07d", r.nextInt(100000)); long v = 1700000000000L + r.nextInt(100000000);
            out("tuple2", s + "," + v, tuple(s, v));
        }
        for (int i = 0; i < 20; i++) {
            String s = "r-" + r.nextInt(20); long v = r.nextLong(); int w = r.nextInt();
            out("tuple3", s + "," + v + "," + w, tuple(s, v, w));
        }
        out("tuple6", "1,2,3,4,5,6", tuple(1, 2, 3, 4, 5, 6));
        out("null", "", 0);
    }
}
