using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Numerics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using KellermanSoftware.CompareNetObjects;

/// <summary>Runs a test that lives in the answer's own process, and says the secret when the test has come to its end.</summary>
static class Seal
{
    const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    static readonly string[] Namespaces =
    {
        "System", "System.Collections", "System.Collections.Generic", "System.Diagnostics", "System.Globalization", "System.IO",
        "System.Linq", "System.Numerics", "System.Text", "System.Text.RegularExpressions", "KellermanSoftware.CompareNetObjects",
    };

    /// <summary>Not reserved as names of types, so that one of the answer's would change what the test says.</summary>
    static readonly string[] Contextual = { "var", "dynamic", "nameof" };

    [DllImport("libc")]
    static extern void _exit(int status);

    /// <summary>The secret is a local variable alone; the arguments are the program, then the words of its test.</summary>
    static int Main(string[] arguments)
    {
        var given = new MemoryStream();
        Console.OpenStandardInput().CopyTo(given);
        byte[] secret = given.ToArray();
        Stream output = Console.OpenStandardOutput();
        Console.SetIn(TextReader.Null);
        try
        {
            Assembly program = Assembly.LoadFrom(arguments[0]);
            RefuseOtherWaysToMemory(program, arguments);
            RefuseNamesOfThePlatform(program, new HashSet<string>(new ArraySegment<string>(arguments, 1, arguments.Length - 1)));
            MethodInfo entry = program.EntryPoint;
            object[] values = entry.GetParameters().Length == 0 ? null : new object[] { new string[0] };
            entry.Invoke(null, values);
        }
        catch (TargetInvocationException error)
        {
            Fail(error.InnerException);
        }
        catch (Exception error)
        {
            Fail(error);
        }
        Console.Out.Flush();
        output.Write(secret, 0, secret.Length);
        output.Flush();
        _exit(0);
        return 1;
    }

    static void Fail(Exception error)
    {
        byte[] said = Encoding.UTF8.GetBytes(error.ToString() + "\n");
        Stream errors = Console.OpenStandardError();
        errors.Write(said, 0, Math.Min(said.Length, 4000));
        errors.Flush();
        _exit(1);
    }

    /// <summary>A name of the answer's that is one of the platform's would change what the test means by it.</summary>
    static void RefuseNamesOfThePlatform(Assembly program, HashSet<string> words)
    {
        var known = new HashSet<string>(Contextual);
        foreach (Type type in new[] { typeof(object), typeof(Uri), typeof(Enumerable), typeof(BigInteger), typeof(CompareLogic) })
            AddTypes(known, type.Assembly);
        foreach (Type type in program.GetTypes())
        {
            Refuse(type.Name, known, words);
            if (words.Contains("Equals") && !words.Contains("+" + type.Name) && type.GetMethods(All).Any(each => each.Name.EndsWith("Equals")))
                throw new InvalidOperationException("the answer says what its " + type.Name + " equals, and the test asks for it");
            foreach (MemberInfo member in type.GetMembers(All))
            {
                Refuse(member.Name, known, words);
                var method = member as MethodBase;
                if (method != null && (method.Attributes & MethodAttributes.PinvokeImpl) != 0)
                    throw new InvalidOperationException("the answer calls native code: " + member.Name);
                if (words.Contains(member.Name) && member.IsDefined(typeof(ExtensionAttribute), false))
                    throw new InvalidOperationException("the answer extends " + member.Name + ", which the test calls");
            }
        }
    }

    /// <summary>
    /// What an answer can call by its name stands in its tables of types. Without these it can make no native call and no
    /// code, and change no memory that is not its own.
    /// </summary>
    static readonly string[] Reaching =
    {
        "System.Reflection", "System.Runtime.InteropServices", "System.Runtime.Serialization", "System.Runtime.Remoting", "Mono",
        "System.AppDomain", "System.Linq.Expressions", "System.Diagnostics.StackTrace", "System.CodeDom", "Microsoft.CSharp",
    };

    static void RefuseOtherWaysToMemory(Assembly program, string[] words)
    {
        foreach (Type type in program.GetTypes())
            if (type.IsExplicitLayout)
                throw new InvalidOperationException("the answer lays one thing over another: " + type.Name);
        for (int row = 1; ; row++)
        {
            Type type;
            try
            {
                type = program.ManifestModule.ResolveType(0x01000000 + row);
            }
            catch (ArgumentException)
            {
                return; // behind the last
            }
            bool harmless = typeof(Attribute).IsAssignableFrom(type) || type == typeof(MemberInfo) || Array.IndexOf(words, type.Name) > 0;
            if (!harmless && Reaching.Any(each => (type.FullName + ".").StartsWith(each + ".")))
                throw new InvalidOperationException("the answer uses " + type.FullName + ", by which it could reach its test");
        }
    }

    static void AddTypes(HashSet<string> known, Assembly assembly)
    {
        foreach (Type type in assembly.GetExportedTypes())
            if (Array.IndexOf(Namespaces, type.Namespace) >= 0)
                known.Add(Simple(type.Name));
    }

    static void Refuse(string name, HashSet<string> known, HashSet<string> words)
    {
        name = Simple(name);
        if (known.Contains(name) && words.Contains(name))
            throw new InvalidOperationException("the answer declares " + name + ", which the test means as the platform's");
    }

    static string Simple(string name)
    {
        int end = name.IndexOf('`');
        return end < 0 ? name : name.Substring(0, end);
    }
}
