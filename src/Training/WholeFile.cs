namespace LongformerInterop.Training;

/// <summary>Text files that are whole or as they were.</summary>
internal static class WholeFile
{
    /// <summary>Writes a text under another name beside, then renames it.</summary>
    public static void Write(string path, string text)
    {
        string temporary = $"{path}.{Path.GetRandomFileName()}.part";
        try
        {
            File.WriteAllText(temporary, text);
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }
}
