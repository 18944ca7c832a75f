using LongformerInterop.Training.Data;

namespace LongformerInterop.Training.Tests;

internal static class RowReading
{
    /// <summary>Writes a file and returns its rows.</summary>
    public static List<DataRow> Read(this TestFolder folder, string name, string text) => [.. DataFiles.Read([folder.Write(name, text)])];
}
