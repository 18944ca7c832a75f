namespace LongformerInterop.Training.Metrics;

/// <summary>The assignment problem: which row gets which column, so that the sum is largest.</summary>
internal static class Assignment
{
    /// <summary>The best column of every row, -1 for a row that gets none; a column is used once.</summary>
    /// <param name="gains">Rows by columns, any finite numbers of 0 or more.</param>
    public static int[] Best(double[,] gains)
    {
        (int rows, int columns) = (gains.GetLength(0), gains.GetLength(1));
        bool flipped = rows > columns;
        (int few, int many) = flipped ? (columns, rows) : (rows, columns);
        double Cost(int row, int column) => -(flipped ? gains[column, row] : gains[row, column]);

        // The Hungarian method by shortest augmenting paths; rows and columns from 1, 0 is the way in.
        double[] rowPrice = new double[few + 1], columnPrice = new double[many + 1];
        int[] rowOf = new int[many + 1], before = new int[many + 1];
        for (int row = 1; row <= few; row++)
        {
            rowOf[0] = row;
            int at = 0;
            double[] distance = new double[many + 1];
            Array.Fill(distance, double.PositiveInfinity);
            bool[] done = new bool[many + 1];
            do
            {
                done[at] = true;
                int current = rowOf[at], next = 0;
                double shortest = double.PositiveInfinity;
                for (int column = 1; column <= many; column++)
                {
                    if (done[column])
                        continue;
                    double reduced = Cost(current - 1, column - 1) - rowPrice[current] - columnPrice[column];
                    if (reduced < distance[column])
                        (distance[column], before[column]) = (reduced, at);
                    if (distance[column] < shortest)
                        (shortest, next) = (distance[column], column);
                }
                for (int column = 0; column <= many; column++)
                {
                    if (done[column])
                    {
                        rowPrice[rowOf[column]] += shortest;
                        columnPrice[column] -= shortest;
                    }
                    else
                    {
                        distance[column] -= shortest;
                    }
                }
                at = next;
            }
            while (rowOf[at] != 0);
            for (; at != 0; at = before[at])
                rowOf[at] = rowOf[before[at]];
        }
        int[] best = new int[rows];
        Array.Fill(best, -1);
        for (int column = 1; column <= many; column++)
        {
            if (rowOf[column] == 0)
                continue;
            if (flipped)
                best[column - 1] = rowOf[column] - 1;
            else
                best[rowOf[column] - 1] = column - 1;
        }
        return best;
    }
}
