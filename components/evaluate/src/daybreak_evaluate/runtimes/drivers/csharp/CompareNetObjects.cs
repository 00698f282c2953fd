using System;
using System.Collections;
using System.Reflection;

namespace KellermanSoftware.CompareNetObjects
{
    /// <summary>What MBXP's tests call of the package of this name: deep equality of values of the platform's types.</summary>
    public sealed class CompareLogic
    {
        /// <summary>Equal are values of one type with equal parts. A type that the platform does not define is equal to none.</summary>
        public ComparisonResult Compare(object actual, object expected)
        {
            return new ComparisonResult(Same(actual, expected));
        }

        static bool Same(object actual, object expected)
        {
            if (actual == null || expected == null) return actual == null && expected == null;
            Type type = actual.GetType();
            if (type != expected.GetType()) return false;
            if (type.IsArray || IsOf(type, "List`1") || IsOf(type, "Stack`1") || IsOf(type, "Queue`1")) return SameInOrder(actual, expected);
            if (IsOf(type, "Dictionary`2") || IsOf(type, "SortedDictionary`2")) return SamePairs((IDictionary)actual, (IDictionary)expected);
            if (IsOf(type, "HashSet`1") || IsOf(type, "SortedSet`1"))
                return (bool)type.GetMethod("SetEquals").Invoke(actual, new[] { expected });
            if (type.FullName.StartsWith("System.Tuple`") || type.FullName.StartsWith("System.ValueTuple`")) return SameParts(type, actual, expected);
            return type.Assembly == typeof(object).Assembly || type.Namespace == "System.Numerics" ? actual.Equals(expected) : false;
        }

        static bool IsOf(Type type, string name)
        {
            return type.IsGenericType && type.Namespace == "System.Collections.Generic" && type.Name == name;
        }

        static bool SameInOrder(object actual, object expected)
        {
            IEnumerator one = ((IEnumerable)actual).GetEnumerator(), other = ((IEnumerable)expected).GetEnumerator();
            while (one.MoveNext())
                if (!other.MoveNext() || !Same(one.Current, other.Current)) return false;
            return !other.MoveNext();
        }

        static bool SamePairs(IDictionary actual, IDictionary expected)
        {
            if (actual.Count != expected.Count) return false;
            foreach (DictionaryEntry each in expected)
                if (!actual.Contains(each.Key) || !Same(actual[each.Key], each.Value)) return false;
            return true;
        }

        static bool SameParts(Type type, object actual, object expected)
        {
            foreach (FieldInfo field in type.GetFields(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance))
                if (!Same(field.GetValue(actual), field.GetValue(expected))) return false;
            return true;
        }
    }

    /// <summary>What a comparison found.</summary>
    public sealed class ComparisonResult
    {
        internal ComparisonResult(bool equal)
        {
            AreEqual = equal;
            DifferencesString = equal ? "" : "they differ";
        }

        /// <summary>Whether both are equal.</summary>
        public bool AreEqual { get; private set; }

        /// <summary>A sentence where they are not.</summary>
        public string DifferencesString { get; private set; }
    }
}
